// How SUPERVISOR comes to its items: after a restart those that may be called already, then the due
// ones, then the next of the input. A strict job reads its whole input before all that.
#include "actors/supervisor/supervisor.hpp"
#include "protocol/rules/priced.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/request/prefix.hpp"
#include "protocol/result.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::supervisor {
namespace {
constexpr int items_per_slice = 1'024;
constexpr auto read_again_after = std::chrono::seconds{1};
constexpr auto probe_follows = std::chrono::seconds{2};
} // namespace

Effects Supervisor::started(Time now) {
  Effects effects;
  if (waited_) outage_.goes_on(*waited_, now);
  if (mutated("no_item_mark")) mark_ = 0;
  catching_up_ = intake_.position().offset > 0 || intake_.position().item < mark_;
  look_ahead(now, effects);
  // What has been called was proved before.
  const bool begun = mark_ > 0 || counts_.terminal() > 0 || intake_.position().item > 0;
  if (spec_.policy.strict && !begun)
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
  looked_at_ = now;
  if (!reading_fails_.empty() && now < read_again_at_) return;
  reading_fails_.clear();
  if (failed_) return;
  if (proof_ && !proved(now, effects)) return;
  if (catching_up_ && !caught_up(now, effects)) return;
  more_to_read_ = false;
  for (int n = 0; n < items_per_slice; ++n) {
    if (failed_ || (paused_ && !cancelling_)) return;
    if (credit_.left() && offer_waiting(now, effects)) continue;
    if (!reading_fails_.empty() || others_stand(now)) return;
    if (may_read()) {
      const bool ended = !read_next(now, effects);
      if (ended && !read_all_) return;
    } else if (!offer_probe(now, effects)) {
      return;
    }
  }
  more_to_read_ = true;
}

bool Supervisor::may_read() const {
  if (read_all_ || undurable_lines_ >= undurable_lines_max) return false;
  return cancelling_ || (credit_.left() && ledger_.live_count() < limits::live_parts_max);
}

// While one item goes alone, or some go in portions, nothing else is begun.
bool Supervisor::others_stand(Time now) const {
  if (cancelling_) return false;
  return is_alone_out() || (needs_witness() && ledger_.out_count() > 0) || next_alone(now) ||
         ledger_.next_due(Lane::portions) <= now;
}

bool Supervisor::offer_waiting(Time now, Effects& effects) {
  if (is_alone_out() || (needs_witness() && ledger_.out_count() > 0)) return false;
  if (const auto next = next_alone(now)) {
    if (ledger_.out_count() > 0) return false;
    alone_ = next;
    return offer_again(*next, *ledger_.take(*next), now, effects);
  }
  if (ledger_.next_due(Lane::portions) <= now)
    return ledger_.portion_has_room() && offer_due(Lane::portions, now, effects);
  return !keeps_witnesses() && offer_due(Lane::open, now, effects);
}

// Nothing else is left than what failed since the last answer, and what was kept back: it goes one
// by one, so that not all of it is out again when an endpoint is back; but further ones follow one
// that takes its time.
bool Supervisor::offer_probe(Time now, Effects& effects) {
  if (!credit_.left() || ledger_.waiting_count(Lane::behind) == 0) return false;
  if (ledger_.out_count() > 0 && now < probed_at_ + probe_follows) return false;
  if (!offer_due(Lane::open, now, effects) && !offer_due(Lane::behind, now, effects)) return false;
  probed_at_ = now;
  return true;
}

bool Supervisor::offer_due(Lane lane, Time now, Effects& effects) {
  std::uint64_t item = 0;
  LiveItem* live =
      lane == Lane::behind ? ledger_.take_probe(now, item) : ledger_.take_due(lane, now, item);
  return live != nullptr && offer_again(item, *live, now, effects);
}

bool Supervisor::offer_again(std::uint64_t item, LiveItem& live, Time now, Effects& effects) {
  auto raw = intake_.read_again(live.place);
  if (!raw && raw.error().code == ErrorCode::unavailable) {
    fail_reading(raw.error(), now, effects);
    ledger_.wait(item, live, read_again_at_);
    return false;
  }
  if (raw) {
    offer(item, live, std::move(*raw), effects);
  } else {
    give_up(item, live, OutcomeClass::bad_line, "input_changed", raw.error().message, effects);
  }
  return true;
}

// What was due when we last looked stands for a reason that time does not change.
Time Supervisor::next_offer_at() const {
  Time at = never;
  const auto later = [&](Time due) {
    if (due > looked_at_) at = std::min(at, due);
  };
  later(ledger_.next_due(Lane::open));
  later(ledger_.next_due(Lane::portions));
  later(std::max(ledger_.next_due(Lane::behind), probed_at_ + probe_follows));
  later(ledger_.next_due(Lane::behind));
  for (const std::uint64_t item : ledger_.alone())
    if (const LiveItem& live = ledger_.live().at(item); live.state == LiveState::ready)
      later(live.not_before);
  return at;
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
  } else if (!item.bad.empty() && spec_.policy.strict) {
    stop_at_bad_line(item.place, item.bad, effects);
    return false;
  } else if (!item.bad.empty()) {
    give_up(item.ordinal, live, OutcomeClass::bad_line, "invalid_line",
            fmt::format("{}: {}", intake_.source_of(item.place), item.bad), effects);
  } else {
    live.state = LiveState::out;
    LiveItem& added = ledger_.add(item.ordinal, std::move(live));
    if (ledger_.suspects() > 0) // it may be one of the last
      ledger_.wait(item.ordinal, added, now);
    else
      offer(item.ordinal, added, std::move(item.raw), effects);
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
  single_.reset();
  if (ledger_.out_count() == 1) single_ = item;
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
  if (spec_.limits.budget_usd && !bound.output_stated && !planned.limits_answers)
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
