#include "actors/rate_limiter/blocks/budget_blocks.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/ids.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gristmill::rate_limiter {

void BudgetBlocks::set_limits(const RateLimits& limits) {
  windows_ = limits.windows();
  counts_tokens_ = limits.tokens_per_minute != 0 || limits.tokens_per_day != 0;
}

bool BudgetBlocks::covers(std::uint64_t tokens, Time now) const {
  if (!is_needed()) return true;
  if (!current_ || (now >= current_->until && !mutated("block_without_end"))) return false;
  if (current_->drawn_calls >= current_->calls) return false;
  return !counts_tokens_ || current_->drawn_tokens + tokens <= current_->tokens;
}

std::optional<WaitReason> BudgetBlocks::refuses(std::uint64_t tokens, Time now) {
  if (covers(tokens, now)) return std::nullopt;
  wanted_ = true;
  tokens_wanted_ = std::max(tokens_wanted_, tokens);
  return WaitReason{.kind = WaitKind::journal,
                    .until = asked_when_written(writing_since(), now),
                    .since = writing_since().value_or(now)};
}

BudgetBlocks::Drawn BudgetBlocks::draw(std::uint64_t tokens) {
  GRISTMILL_CHECK(
      !is_needed() || (current_ && current_->drawn_calls < current_->calls),
      "expected a durable block with a call left, got block {} with {} of {} calls drawn", number(),
      current_ ? current_->drawn_calls : 0, current_ ? current_->calls : 0);
  if (!current_) return {};
  current_->drawn_tokens += tokens;
  const Drawn drawn{current_->number, ++current_->drawn_calls};
  invariant();
  return drawn;
}

void BudgetBlocks::give_back(std::uint64_t tokens, std::uint64_t number) {
  if (!counts_tokens_) return;
  if (current_ && current_->number == number) current_->drawn_tokens -= tokens;
  for (Block& block : closed_) {
    if (block.number != number) continue;
    block.drawn_tokens -= tokens;
    block.is_news = true;
  }
}

void BudgetBlocks::charge_more(std::uint64_t tokens) {
  if (current_) current_->drawn_tokens += tokens;
}

// Those that may not be drawn from any more, and that no window counts.
std::vector<std::uint64_t> BudgetBlocks::take_over(Time now) {
  std::vector<std::uint64_t> over;
  for (; !closed_.empty() && closed_.front().until + defaults::block_hold <= now;
       closed_.pop_front())
    over.push_back(closed_.front().number);
  return over;
}

std::vector<std::uint64_t> BudgetBlocks::numbers() const {
  std::vector<std::uint64_t> numbers;
  for (const Block& block : closed_) numbers.push_back(block.number);
  if (current_) numbers.push_back(current_->number);
  return numbers;
}

// Only of a block that nobody draws from any more can a note say what was drawn in the end. What
// its calls give back later is noted then: after a crash it need not count as spent.
std::vector<journal::DrawnNote> BudgetBlocks::drawn_notes() {
  std::vector<journal::DrawnNote> notes;
  for (Block& block : closed_)
    if (std::exchange(block.is_news, false))
      notes.push_back({block.number, mutated("closed_block_is_free") ? 0 : block.drawn_calls,
                       block.drawn_tokens});
  return notes;
}

// What may be drawn until it ends: the burst, and what the rate yields meanwhile.
void BudgetBlocks::size(Block& block, const Allowance& allowed, Duration validity) const {
  const double seconds = to_seconds(validity);
  const auto yield = [&](const Allowance::Pace& pace) {
    return static_cast<std::uint64_t>(std::ceil(pace.burst + pace.per_second * seconds)) + 1;
  };
  const auto unlimited =
      defaults::block_calls_unlimited * static_cast<std::uint64_t>(std::ceil(seconds));
  block.calls = std::min(allowed.calls ? yield(*allowed.calls) : unlimited, AttemptId::n_max);
  if (allowed.calls_of_day) block.calls = std::min(block.calls, *allowed.calls_of_day);
  if (!allowed.tokens && !allowed.tokens_of_day) return;
  block.tokens = allowed.tokens ? yield(*allowed.tokens) : *allowed.tokens_of_day;
  if (allowed.tokens_of_day) block.tokens = std::min(block.tokens, *allowed.tokens_of_day);
  block.tokens = std::max(block.tokens, tokens_wanted_);
}

Time BudgetBlocks::reserves_at(Duration commit_time) const {
  if (next_) return never;
  if (wanted_) return Time::min();
  if (!current_ || current_->drawn_calls == 0 || !is_needed()) return never;
  return current_->until - lead(commit_time);
}

// How long before a block's end the next one is asked for.
Duration BudgetBlocks::lead(Duration commit_time) const {
  const Duration lead = defaults::block_lead(commit_time);
  return windows_ ? lead : lead + defaults::block_spare_unlimited;
}

std::optional<journal::BlockNote> BudgetBlocks::reserve(std::uint64_t number,
                                                        const Allowance& allowed,
                                                        Duration commit_time, Time now) {
  if (next_) return std::nullopt;
  const bool due = now >= reserves_at(commit_time) && current_ && now < current_->until;
  if (!wanted_ && (!due || allowed.day_is_used_up)) return std::nullopt;
  const Duration life = windows_ ? defaults::block_life : defaults::block_life_unlimited;
  const Duration validity =
      life + (mutated("block_life_from_request") ? defaults::block_margin : lead(commit_time));
  next_since_ = now;
  next_.emplace();
  next_->number = number;
  next_->until = now + validity;
  size(*next_, allowed, validity);
  journal::BlockNote note{number, {}, next_->calls, next_->tokens, next_->until};
  note.over = take_over(now); // first: of what is over nothing is noted any more
  note.drawn = drawn_notes();
  invariant();
  return note;
}

void BudgetBlocks::durable(std::uint64_t number) {
  if (!next_ || next_->number != number) return;
  if (current_) closed_.push_back(*current_);
  current_ = std::exchange(next_, std::nullopt);
  wanted_ = false;
  tokens_wanted_ = 0;
  invariant();
}

std::vector<BudgetBlocks::Rest> BudgetBlocks::rests(Time now) const {
  std::vector<Rest> rests;
  for (const auto* block : {&current_, &next_}) {
    if (!*block || now >= (*block)->until || mutated("day_without_open_blocks")) continue;
    const auto left = [](std::uint64_t most, std::uint64_t drawn) {
      return most - std::min(most, drawn);
    };
    rests.push_back({(*block)->until, left((*block)->calls, (*block)->drawn_calls),
                     left((*block)->tokens, (*block)->drawn_tokens)});
  }
  return rests;
}

// Tokens are not among it: a call may turn out to have used more than its block had left.
void BudgetBlocks::invariant() const {
  GRISTMILL_CHECK(!numbers_ || !current_ || current_->drawn_calls <= current_->calls,
                  "expected at most {} attempts of block {}, got {}", current_->calls, number(),
                  current_->drawn_calls);
  GRISTMILL_CHECK(!next_ || next_->number > number(),
                  "expected a block after {} on its way to the disk, got {}", number(),
                  next_->number);
  GRISTMILL_CHECK(closed_.empty() || closed_.back().number < number(),
                  "expected closed blocks before {}, got {}", number(), closed_.back().number);
  GRISTMILL_CHECK(wanted_ || tokens_wanted_ == 0,
                  "expected no tokens to be wanted while no block is, got {}", tokens_wanted_);
}

} // namespace gristmill::rate_limiter
