// DAY WINDOW: what an account's calls took in any 24 hours, and what the journal has to know of it.
// A life is shorter than a day, so each bucket of the window is noted: what is charged in it, and
// what blocks that are not used up may still charge. A restart takes the notes as they are.
// Invariant: the durable notes never say less than what was drawn from durable blocks.
#pragma once

#include "actors/rate_limiter/windows/sliding_window.hpp"
#include "actors/words/records.hpp"

#include <set>
#include <span>
#include <string>
#include <vector>

namespace gristmill::rate_limiter {

class DayWindow {
public:
  // `hold`: how long a call counts whose permit lives as long as permits do.
  DayWindow(std::uint64_t calls_most, std::uint64_t tokens_most, Duration hold)
      : calls_{calls_most, hold}, tokens_{tokens_most, hold} {}

  // What a block that may be drawn until then has left.
  struct Open {
    Time until{}; // for which its last call would count
    std::uint64_t calls = 0, tokens = 0;
  };

  bool limited() const { return calls_.limited() || tokens_.limited(); }
  const SlidingWindow& calls() const { return calls_; }
  const SlidingWindow& tokens() const { return tokens_; }
  std::uint64_t calls_held() const { return calls_.held(); }
  std::uint64_t tokens_held() const { return tokens_.held(); }
  bool is_empty() const { return calls_.held() == 0 && tokens_.held() == 0; }
  void set_most(std::uint64_t calls, std::uint64_t tokens);
  void advance(Time now);

  // A call; returns the time until which it counts, its name for what follows. Without a limit
  // nothing is charged, and the name is Time{}.
  Time charge(std::uint64_t tokens, Time until);
  void charge_more(std::uint64_t tokens, Time name);
  void refund(std::uint64_t calls, std::uint64_t tokens, Time name);

  // What a block should cover: one per cent of what is left, at least one.
  std::uint64_t calls_ahead() const { return ahead(calls_); }
  std::uint64_t tokens_ahead() const { return ahead(tokens_); }
  bool is_used_up() const { return !calls_.fits(1) || !tokens_.fits(1); }

  // What the journal does not know yet, to be noted with every new block, and now and then.
  std::vector<journal::DayNote> notes(const std::string& account, std::span<const Open> open,
                                      Time now);
  Time next_notes_at() const {
    return !limited() || (is_empty() && changed_.empty()) ? never : noted_at_ + note_every;
  }
  // Of an earlier life.
  void assume_spent(const journal::DayNote& note);

private:
  // What passes between two notes is not known to have passed if the machine is started anew.
  static constexpr auto note_every = std::chrono::seconds{60};
  static std::uint64_t ahead(const SlidingWindow& window);

  SlidingWindow calls_, tokens_;
  std::set<Time> changed_; // buckets, since they were noted
  Time noted_at_{};
};

} // namespace gristmill::rate_limiter
