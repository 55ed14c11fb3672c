// DAY WINDOW: what an account's calls took in any 24 hours, and what the journal has to know of it.
// A life is shorter than a day, so each bucket of the window is noted: what is charged in it, and
// what blocks that are not used up may still charge. A restart takes the notes as they are.
// Invariant: the durable notes never say less than what was drawn from durable blocks.
#pragma once

#include "actors/rate_limiter/blocks/budget_blocks.hpp"
#include "actors/rate_limiter/windows/hold.hpp"
#include "actors/rate_limiter/windows/sliding_window.hpp"
#include "actors/words/records.hpp"

#include <set>
#include <span>
#include <string>
#include <vector>

namespace gristmill::rate_limiter {

class DayWindow {
public:
  // `length`: a day's, but for tests.
  DayWindow(std::uint64_t calls_most, std::uint64_t tokens_most, Duration length)
      : length_{length}, calls_{calls_most, hold()}, tokens_{tokens_most, hold()} {}

  bool limited() const { return calls_.limited() || tokens_.limited(); }
  const SlidingWindow& calls() const { return calls_; }
  const SlidingWindow& tokens() const { return tokens_; }
  std::uint64_t calls_held() const { return calls_.held(); }
  std::uint64_t tokens_held() const { return tokens_.held(); }
  bool is_empty() const { return calls_.held() == 0 && tokens_.held() == 0; }
  void set_most(std::uint64_t calls, std::uint64_t tokens);
  void advance(Time now);

  // A call whose permit lives so long; returns the time until which it counts, its name for what
  // follows. Without a limit nothing is charged, and the name is Time{}.
  Time charge(std::uint64_t tokens, Duration life, Time now);
  void charge_more(std::uint64_t tokens, Time name);
  void refund(std::uint64_t calls, std::uint64_t tokens, Time name);

  // What a block should cover: one per cent of what is left, at least one.
  std::uint64_t calls_ahead() const { return ahead(calls_); }
  std::uint64_t tokens_ahead() const { return ahead(tokens_); }
  bool is_used_up() const { return !calls_.fits(1) || !tokens_.fits(1); }

  // A block is about to be written: with it is to be noted what it may take.
  void block_reserved() { block_is_new_ = true; }
  // What the journal does not know yet, when next_notes_at() has come. `rests`: of the account's
  // blocks that are not used up.
  std::vector<journal::DayNote> notes(const std::string& account,
                                      std::span<const BudgetBlocks::Rest> rests, Time now);
  Time next_notes_at() const {
    if (!limited()) return never;
    if (block_is_new_) return Time::min();
    return is_empty() && changed_.empty() ? never : noted_at_ + note_every;
  }
  // Of an earlier life.
  void assume_spent(const journal::DayNote& note);

private:
  // What passes between two notes is not known to have passed if the machine is started anew.
  static constexpr auto note_every = std::chrono::seconds{60};
  Duration hold() const { return defaults::hold_of(length_); }
  static std::uint64_t ahead(const SlidingWindow& window);

  Duration length_;
  SlidingWindow calls_, tokens_;
  bool block_is_new_ = false; // since the last notes
  std::set<Time> changed_;    // buckets, since they were noted
  Time noted_at_{};
};

} // namespace gristmill::rate_limiter
