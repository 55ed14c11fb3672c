// BUDGET BLOCKS: what the journal holds of an account's budget before any of it is drawn. One block
// is drawn from while the next one is on its way to the disk; those before are kept for as long as
// a window may count them:
//
//   reserve() -> on its way -> durable() -> drawn from -> closed -> over
//
// Invariant: nothing is drawn that a durable block does not cover, so a crash can forget only what
// the next life then assumes to be spent; and no two calls have one number of a block.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/rate_limits.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace gristmill::rate_limiter {

// When to ask again for what waits until something is durable that has been on its way `since` then
// (nothing: it is about to be): soon on a quick disk, and not hundreds of times on a slow one.
inline Time asked_when_written(std::optional<Time> since, Time now) {
  constexpr Duration least = std::chrono::milliseconds{2}, most = std::chrono::milliseconds{100};
  return now + std::clamp((now - since.value_or(now)) / 4, least, most);
}

class BudgetBlocks {
public:
  explicit BudgetBlocks(const RateLimits& limits) { set_limits(limits); }
  void set_limits(const RateLimits& limits);
  // A job's: its blocks number no attempts, so without windows it needs none.
  void needs_no_numbers() { numbers_ = false; }
  bool numbers_attempts() const { return numbers_; }

  // Nothing if a call of so many tokens is covered; else it is remembered that a block is wanted.
  std::optional<WaitReason> refuses(std::uint64_t tokens, Time now);
  // What a call was drawn from, and its number there; block 0 = it needed none.
  struct Drawn {
    std::uint64_t block = 0, n = 0;
  };
  Drawn draw(std::uint64_t tokens); // after refuses() said nothing
  void give_back(std::uint64_t tokens, std::uint64_t block);
  // A call used more than it drew: the block that is drawn from now pays.
  void charge_more(std::uint64_t tokens);

  // What the account's windows allow, which a block is to cover; nothing = there is no such window.
  struct Allowance {
    struct Pace {
      double burst = 0, per_second = 0;
    };
    std::optional<Pace> calls{}, tokens{};
    // Of a day's windows at most so much, because after a crash all of a block counts as spent.
    std::optional<std::uint64_t> calls_of_day{}, tokens_of_day{};
    bool day_is_used_up = false;
  };
  // The next block, when one is due, its account's name left out. `number` names it; `commit_time`:
  // how long it takes of late until it is durable.
  std::optional<journal::BlockNote> reserve(std::uint64_t number, const Allowance& allowed,
                                            Duration commit_time, Time now);
  void durable(std::uint64_t number);
  // When reserve() has something to do though nobody asks; `never` = not before somebody does.
  Time reserves_at(Duration commit_time) const;

  // The one that is drawn from; 0 = none.
  std::uint64_t number() const { return current_ ? current_->number : 0; }
  std::vector<std::uint64_t> numbers() const; // of all that the journal holds
  std::size_t closed() const { return closed_.size(); }
  // Since when the next one is on its way to the disk; nothing: none is.
  std::optional<Time> writing_since() const {
    return next_ ? std::optional{next_since_} : std::nullopt;
  }
  // Until when the current one may be drawn from; Time::min() = there is none.
  Time until() const { return current_ ? current_->until : Time::min(); }
  // What may still be drawn from a block that is durable or about to be.
  struct Rest {
    Time until{};
    std::uint64_t calls = 0, tokens = 0;
  };
  std::vector<Rest> rests(Time now) const;

private:
  struct Block {
    std::uint64_t number = 0, calls = 0, tokens = 0; // reserved
    Time until{};
    std::uint64_t drawn_calls = 0, drawn_tokens = 0;
    bool is_news = true; // how much was drawn is not noted
  };
  bool is_needed() const { return numbers_ || windows_; }
  bool covers(std::uint64_t tokens, Time now) const;
  Duration lead(Duration commit_time) const;
  void size(Block& block, const Allowance& allowed, Duration validity) const;
  std::vector<std::uint64_t> take_over(Time now);
  std::vector<journal::DrawnNote> drawn_notes();
  void invariant() const;

  bool numbers_ = true; // attempts
  bool windows_ = false, counts_tokens_ = false;
  std::optional<Block> current_; // durable, being drawn from
  std::optional<Block> next_;    // on its way to the disk
  Time next_since_{};
  std::deque<Block> closed_; // the ones before current_ that may count
  bool wanted_ = false;      // somebody asked for what current_ does not cover
  std::uint64_t tokens_wanted_ = 0;
};

} // namespace gristmill::rate_limiter
