// How SUPERVISOR comes to its items: after a restart those that may be called already, then the due
// ones, then the next of the input. A strict job reads its whole input before all that.
#include "actors/supervisor/supervisor.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/wire.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::supervisor {
namespace {
constexpr int items_per_slice = 1'024;
constexpr auto read_again_after = std::chrono::seconds{1};
} // namespace

Effects Supervisor::started(Time now) {
  Effects effects;
  if (mutated("no_item_mark")) mark_ = 0;
  catching_up_ = intake_.position().offset > 0 || intake_.position().item < mark_;
  look_ahead(now, effects);
  // What has been called was proved before.
  const bool begun = mark_ > 0 || counts_.terminal() > 0 || intake_.position().item > 0;
  if (spec_.strict && !begun)
    proof_ = std::make_unique<intake::Intake>(spec_, source_, InputPosition{});
  effects.progress = true;
  return sealed(effects);
}

// Items that a worker may be calling must be known by name before anybody claims them. Whether
// their ids repeat is seen when reading comes to them.
void Supervisor::look_ahead(Time now, Effects& effects) {
  intake::Intake ahead{spec_, source_, intake_.position(), intake::Intake::Ids::as_they_are};
  while (ahead.position().item < mark_) {
    auto read = ahead.next();
    if (!read) return fail_reading(read.error(), now, effects);
    if (!*read) return;
    intake::Item& item = **read;
    if (!item.bad.empty() || ledger_.is_terminal(item.ordinal)) continue;
    LiveItem live;
    live.place = item.place;
    live.id = std::move(item.id);
    live.state = LiveState::unknown;
    restore_attempts(item.ordinal, live);
    live.has_fallback = models_.plan(item.place.kind, item.raw, live.on_fallback).has_fallback;
    ledger_.add(item.ordinal, std::move(live));
  }
}

// Also of a job that is paused or being cancelled: it could never come to its end.
void Supervisor::fail_reading(const Error& error, Time now, Effects& effects) {
  if (failed_) return;
  if (error.code == ErrorCode::unavailable) {
    reading_fails_ = error.message;
    read_again_at_ = now + read_again_after;
    return;
  }
  const bool disk = error.code == ErrorCode::disk_full; // of the pages that remember ids
  failed_ = true;
  effects.stop =
      StateChange{JobState::failed, disk ? JobReason::disk : JobReason::input, error.message};
}

// Results for more items than the input has: it is not the one that they were made from, and the
// job would wait for ever.
void Supervisor::check_count(Effects& effects) {
  const std::uint64_t items = intake_.position().item;
  if (!read_all_ || failed_ || said_all_) return;
  if (counts_.terminal() <= items && counts_.total <= items) return;
  failed_ = true;
  effects.stop = StateChange{
      JobState::failed, JobReason::input,
      fmt::format("expected the input that the job began with, with {} items or more, got {} of "
                  "them: it has changed; put the old file back and resume, or submit it anew",
                  std::max(counts_.terminal(), counts_.total), items)};
}

// The ids before the place where reading goes on, then the items that were looked at ahead: until
// that is done nothing can be offered, because an id may turn out to be a repeated one.
bool Supervisor::caught_up(Time now, Effects& effects) {
  if (failed_) return false;
  const auto done = intake_.catch_up(items_per_slice);
  if (!done) {
    fail_reading(done.error(), now, effects);
    return false;
  }
  if (*done)
    for (int n = 0; n < items_per_slice; ++n)
      if (read_all_ || intake_.position().item >= mark_ || !read_next(now, effects)) break;
  catching_up_ = !*done || (!failed_ && !read_all_ && intake_.position().item < mark_);
  return !catching_up_;
}

// Nothing is offered, and so nothing paid, for an input that would fail the job in its middle.
bool Supervisor::proved(Time now, Effects& effects) {
  if (paused_ && !cancelling_) return false;
  for (int n = 0; proof_ && !cancelling_ && n < items_per_slice; ++n) {
    const auto read = proof_->next();
    if (!read) {
      fail_reading(read.error(), now, effects);
      return false;
    }
    if (*read && !(*read)->bad.empty()) stop_at_bad_line((*read)->place, (*read)->bad, effects);
    if (failed_ || !*read) proof_.reset();
  }
  if (cancelling_) proof_.reset();
  return !proof_ && !failed_;
}

void Supervisor::stop_at_bad_line(const intake::Place& place, const std::string& bad,
                                  Effects& effects) {
  stop(StateChange{JobState::failed, JobReason::bad_input,
                   fmt::format("{}: {} (--strict)", intake_.source_of(place), bad)},
       effects);
}

void Supervisor::fill(Time now, Effects& effects) {
  offer_next(now, effects);
  hedge(now, effects);
}

void Supervisor::offer_next(Time now, Effects& effects) {
  if (!reading_fails_.empty() && now < read_again_at_) return;
  reading_fails_.clear();
  if (failed_) return;
  if (proof_ && !proved(now, effects)) return;
  if (catching_up_ && !caught_up(now, effects)) return;
  more_to_read_ = false;
  for (int n = 0; n < items_per_slice; ++n) {
    if (failed_ || (paused_ && !cancelling_)) return;
    if (credit_.left() && offer_due(now, effects)) continue;
    if (!reading_fails_.empty()) return;
    if (!may_read()) return;
    if (!read_next(now, effects)) return;
  }
  more_to_read_ = true;
}

bool Supervisor::may_read() const {
  if (read_all_ || undurable_lines_ >= undurable_lines_max) return false;
  return cancelling_ || (credit_.left() && ledger_.live_count() < limits::live_parts_max);
}

bool Supervisor::offer_due(Time now, Effects& effects) {
  std::uint64_t item = 0;
  LiveItem* live = ledger_.take_due(now, item);
  if (live == nullptr) return false;
  auto raw = intake_.read_again(live->place);
  if (!raw && raw.error().code == ErrorCode::unavailable) {
    fail_reading(raw.error(), now, effects);
    ledger_.wait(item, *live, read_again_at_);
    return false;
  }
  if (raw) {
    offer(item, *live, std::move(*raw), effects);
  } else {
    give_up(item, *live, OutcomeClass::bad_line, "input_changed", raw.error().message, effects);
  }
  return true;
}

bool Supervisor::read_next(Time now, Effects& effects) {
  auto read = intake_.next();
  if (!read) {
    fail_reading(read.error(), now, effects);
    return false;
  }
  if (!*read) {
    read_all_ = counts_.total_known = true;
    effects.progress = true;
    return false;
  }
  intake::Item& item = **read;
  counts_.total = std::max(counts_.total, item.ordinal + 1);
  if (ledger_.is_terminal(item.ordinal)) return true;
  LiveItem live;
  if (const LiveItem* known = ledger_.find(item.ordinal)) { // looked at ahead
    if (item.bad.empty() || known->state == LiveState::out) return true;
    live = *known;
  } else {
    restore_attempts(item.ordinal, live);
  }
  live.place = item.place;
  live.id = std::move(item.id);
  if (cancelling_) {
    give_up(item.ordinal, live, OutcomeClass::cancelled, "cancelled", "the job was cancelled",
            effects);
  } else if (!item.bad.empty() && spec_.strict) {
    stop_at_bad_line(item.place, item.bad, effects);
    return false;
  } else if (!item.bad.empty()) {
    give_up(item.ordinal, live, OutcomeClass::bad_line, "invalid_line",
            fmt::format("{}: {}", intake_.source_of(item.place), item.bad), effects);
  } else {
    live.state = LiveState::out;
    offer(item.ordinal, ledger_.add(item.ordinal, std::move(live)), std::move(item.raw), effects);
  }
  return true;
}

void Supervisor::restore_attempts(std::uint64_t item, LiveItem& live) {
  const auto note = recovered_attempts_.find(item);
  if (note == recovered_attempts_.end()) return;
  live.tries = live.consumed = note->second.attempts;
  live.deaths = note->second.deaths;
  if (note->second.on_fallback()) {
    live.on_fallback = true;
    live.tries = note->second.tries;
  }
  recovered_attempts_.erase(note);
}

void Supervisor::offer(std::uint64_t item, LiveItem& live, std::string raw, Effects& effects) {
  live.call = CallId{next_call_++};
  live.twin = CallId{};
  live.hedged = false;
  live.begun_at = never;
  offer(item, live, live.call, live.failed_at, std::move(raw), effects);
}

void Supervisor::offer(std::uint64_t item, LiveItem& live, CallId id,
                       std::vector<EndpointId> failed_at, std::string raw, Effects& effects) {
  if (std::string why = documents_.why_too_long(live.place.kind, raw); !why.empty())
    return give_up(item, live, OutcomeClass::too_long, "exceeds_limit", why, effects);
  OfferedCall call;
  call.planned.call = id;
  call.planned.parts = {PartId{job_, item, 0}};
  call.planned.kind = live.place.kind;
  PlannedModel planned = models_.plan(live.place.kind, raw, live.on_fallback);
  const auto bound = tokens_.bounds(live.place.kind, raw, planned.max_output_tokens);
  if (spec_.budget_usd && !bound.output_stated && !planned.limits_answers)
    return give_up(item, live, OutcomeClass::bad_line, "unlimited_answer",
                   fmt::format("expected a limit on the answer, so that a call's cost has a bound "
                               "under --budget-usd, got none; {}",
                               how_to_limit_answers),
                   effects);
  call.token_bound = bound.total();
  call.output_bound = bound.output;
  call.planned.model = std::move(planned.model);
  live.has_fallback = planned.has_fallback;
  call.failed_at = std::move(failed_at);
  call.prefix = openai::prefix_of(spec_, documents_, live.place.kind, raw);
  call.planned.raw = std::move(raw);
  credit_.spend(call.bytes());
  effects.offers.push_back(std::move(call));
}

InputPosition Supervisor::low() const {
  const std::uint64_t low = ledger_.low();
  if (low >= intake_.position().item || mutated("low_mark_ahead")) return intake_.position();
  const auto it = ledger_.live().find(low);
  GRISTMILL_CHECK(it != ledger_.live().end(), "item {} is neither live nor terminal", low);
  const intake::Place& place = it->second.place;
  return {place.input, place.offset, place.line == 0 ? 0 : place.line - 1, low};
}

} // namespace gristmill::supervisor
