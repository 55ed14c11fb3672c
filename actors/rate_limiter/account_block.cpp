// The blocks of an ACCOUNT: what is reserved in the journal before anything is drawn.
#include "actors/rate_limiter/account.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/ids.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

constexpr std::uint64_t attempts_per_block_max = AttemptId::n_max;

} // namespace

bool Account::counts_tokens() const {
  return tokens_window_.limited() || day_.tokens().limited();
}

bool Account::covers(std::uint64_t tokens, Time now) const {
  if (!needs_blocks()) return true;
  if (!block_ || (now >= block_->note.until && !mutated("block_without_end"))) return false;
  const journal::BlockNote& note = block_->note;
  if (block_->drawn_calls >= note.calls) return false;
  return !counts_tokens() || block_->drawn_tokens + tokens <= note.tokens;
}

// A call has used less than it drew.
void Account::not_drawn(std::uint64_t tokens, std::uint64_t number) {
  if (!counts_tokens()) return;
  if (block_ && block_->note.block == number) block_->drawn_tokens -= tokens;
  for (Block& block : closed_) {
    if (block.note.block != number) continue;
    block.drawn_tokens -= tokens;
    block.is_news = true;
  }
}

// Those that may not be drawn from any more, and that no window counts.
std::vector<std::uint64_t> Account::take_over(Time now) {
  std::vector<std::uint64_t> over;
  for (; !closed_.empty() && closed_.front().note.until + defaults::block_hold <= now;
       closed_.pop_front())
    over.push_back(closed_.front().note.block);
  return over;
}

std::vector<std::uint64_t> Account::blocks() const {
  std::vector<std::uint64_t> numbers;
  for (const Block& block : closed_) numbers.push_back(block.note.block);
  if (block_) numbers.push_back(block_->note.block);
  return numbers;
}

// Only of a block that nobody draws from any more can a note say what was drawn in truth. What its
// calls give back later is noted then: after a crash it need not count as spent.
std::vector<journal::DrawnNote> Account::drawn_notes() {
  std::vector<journal::DrawnNote> notes;
  for (Block& block : closed_)
    if (std::exchange(block.is_news, false))
      notes.push_back({block.note.block, mutated("closed_block_is_free") ? 0 : block.drawn_calls,
                       block.drawn_tokens});
  return notes;
}

// What may be drawn until it ends: the burst, and what the rate yields meanwhile; of a day's window
// no more than a small part, because after a crash all of it counts as spent.
void Account::size(journal::BlockNote& note, Duration validity) const {
  const double seconds = to_seconds(validity);
  const auto yield = [&](const Smoother& s) {
    return static_cast<std::uint64_t>(std::ceil(s.burst() + s.rate() * seconds)) + 1;
  };
  const auto unlimited =
      defaults::block_calls_unlimited * static_cast<std::uint64_t>(std::ceil(seconds));
  note.calls = std::min(limits_.requests_per_minute != 0 ? yield(calls_smoother_) : unlimited,
                        attempts_per_block_max);
  if (day_.calls().limited()) note.calls = std::min(note.calls, day_.calls_ahead());
  if (!counts_tokens()) return;
  note.tokens = tokens_window_.limited() ? yield(tokens_smoother_) : day_.tokens_ahead();
  if (day_.tokens().limited()) note.tokens = std::min(note.tokens, day_.tokens_ahead());
  note.tokens = std::max(note.tokens, tokens_wanted_);
}

Time Account::reserves_at(Duration commit_time) const {
  if (next_) return never;
  if (wanted_) return Time::min();
  if (!block_ || block_->drawn_calls == 0 || !needs_blocks()) return never;
  return block_->note.until - lead_of(commit_time);
}

// How long before a block's end the next one is asked for.
Duration Account::lead_of(Duration commit_time) const {
  const Duration lead = defaults::block_lead(commit_time);
  return limits_.windows() ? lead : lead + defaults::block_spare_unlimited;
}

std::optional<journal::BlockNote> Account::reserve(std::uint64_t number, Time now,
                                                   Duration commit_time) {
  if (next_) return std::nullopt;
  const bool due = now >= reserves_at(commit_time) && block_ && now < block_->note.until;
  if (!wanted_ && (!due || day_.is_used_up())) return std::nullopt;
  const Duration life = limits_.windows() ? defaults::block_life : defaults::block_life_unlimited;
  const Duration validity =
      life + (mutated("block_life_from_request") ? defaults::block_margin : lead_of(commit_time));
  Block block;
  block.note.block = number;
  block.note.account = name_;
  size(block.note, validity);
  block.note.until = now + validity;
  block.note.over = take_over(now);
  block.note.drawn = drawn_notes();
  next_ = std::move(block);
  next_since_ = now;
  day_noted_ = false;
  return next_->note;
}

std::vector<journal::DayNote> Account::day_notes(Time now) {
  if (!day_.limited() || (std::exchange(day_noted_, true) && now < day_.next_notes_at())) return {};
  std::vector<DayWindow::Open> open;
  for (const auto* block : {&block_, &next_}) {
    if (!*block || now >= (*block)->note.until || mutated("day_without_open_blocks")) continue;
    const auto left = [](std::uint64_t most, std::uint64_t drawn) {
      return most - std::min(most, drawn);
    };
    const journal::BlockNote& note = (*block)->note;
    open.push_back({note.until + hold_of(day_length_, defaults::permit_life_max),
                    left(note.calls, (*block)->drawn_calls),
                    left(note.tokens, (*block)->drawn_tokens)});
  }
  return day_.notes(name_, open, now);
}

void Account::durable(std::uint64_t block) {
  if (!next_ || next_->note.block != block) return;
  if (block_) closed_.push_back(std::move(*block_));
  block_ = std::move(next_);
  next_.reset();
  wanted_ = false;
  tokens_wanted_ = 0;
}

void Account::assume_spent(const journal::BlockNote& block, Time now) {
  const Time until = std::min(block.until, now) + defaults::block_hold;
  if (until <= now) return;
  calls_window_.charge_until(block.calls, until);
  tokens_window_.charge_until(block.tokens, until);
}

} // namespace gristmill::rate_limiter
