#include "actors/supervisor/supervisor.hpp"

#include "actors/kit/check.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/json_text.hpp"
#include "protocol/openai/labels.hpp"
#include "protocol/openai/wire.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::supervisor {
namespace {

constexpr std::uint64_t undurable_lines_max =
    8'192; // of lines that the supervisor writes by itself
constexpr int items_per_slice = 1'024;
constexpr std::uint32_t deaths_max = 3;
constexpr auto refused_again_after = std::chrono::seconds{1};
constexpr auto cancel_grace = std::chrono::seconds{10};

protocol::Outcome local_end(OutcomeClass cls, std::string code, std::string message) {
  protocol::Outcome outcome;
  outcome.cls = cls;
  outcome.code = std::move(code);
  outcome.message = std::move(message);
  return outcome;
}

} // namespace

Supervisor::Supervisor(JobId job, Epoch epoch, JobSpec spec, intake::ByteSource& source,
                       RecoveredItems recovered, const std::vector<PoolSpec>& pools)
    : job_{job}, spec_{std::move(spec)}, policy_{.retries = spec_.retries}, models_{spec_, pools},
      source_{source}, intake_{spec_, source, recovered.low},
      ledger_{std::move(recovered.terminal)}, failures_{spec_}, counts_{recovered.counts},
      mark_{recovered.mark}, may_have_called_{recovered.may_have_called},
      // epoch (12 bits) | job (20 bits) | n: unique among all calls that a worker may still know
      next_call_{(std::uint64_t{epoch.value} << 52) | (std::uint64_t{job.value & 0xfffff} << 32) |
                 1} {
  next_call_ = std::max(next_call_, recovered.next_call);
  counts_.total = std::max(recovered.counts.total, recovered.low.item);
  for (const auto& note : recovered.attempts) recovered_attempts_.emplace(note.item, note);
}

Effects Supervisor::started(Time) {
  Effects effects;
  catching_up_ = intake_.position().offset > 0 || intake_.position().item < mark_;
  look_ahead(effects);
  effects.progress = true;
  return sealed(effects);
}

// Items that a worker may be calling must be known by name before anybody claims them. Whether
// their ids repeat is seen when reading comes to them.
void Supervisor::look_ahead(Effects& effects) {
  intake::Intake ahead{spec_, source_, intake_.position(), intake::Intake::Ids::as_they_are};
  while (ahead.position().item < mark_) {
    auto read = ahead.next();
    if (!read) return fail_reading(read.error(), effects);
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

void Supervisor::fail_reading(const Error& error, Effects& effects) {
  stop(StateChange{JobState::failed, JobReason::input, error.message}, effects);
}

// The ids before the place where reading goes on, then the items that were looked at ahead: until
// that is done nothing can be offered, because an id may turn out to be a repeated one.
bool Supervisor::caught_up(Time now, Effects& effects) {
  if (failed_) return false;
  const auto done = intake_.catch_up(items_per_slice);
  if (!done) {
    fail_reading(done.error(), effects);
    return false;
  }
  if (*done)
    for (int n = 0; n < items_per_slice; ++n)
      if (read_all_ || intake_.position().item >= mark_ || !read_next(now, effects)) break;
  catching_up_ = !*done || (!failed_ && !read_all_ && intake_.position().item < mark_);
  return !catching_up_;
}

Effects Supervisor::wanted(std::uint32_t calls, std::uint64_t bytes, Time now) {
  credit_.calls += calls;
  credit_.bytes += static_cast<std::int64_t>(bytes);
  return tick(now);
}

Effects Supervisor::tick(Time now) {
  Effects effects;
  if (now >= cancel_deadline_) {
    cancel_live(true, effects);
    cancel_deadline_ = never;
  }
  fill(now, effects);
  return sealed(effects);
}

void Supervisor::fill(Time now, Effects& effects) {
  if (catching_up_ && !caught_up(now, effects)) return;
  more_to_read_ = false;
  for (int n = 0; n < items_per_slice; ++n) {
    if (failed_ || (paused_ && !cancelling_)) return;
    if (credit_.left() && offer_due(now, effects)) continue;
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
  if (raw) {
    offer(item, *live, std::move(*raw), effects);
  } else {
    give_up(item, *live, OutcomeClass::bad_line, "input_changed", raw.error().message, effects);
  }
  return true;
}

bool Supervisor::read_next(Time, Effects& effects) {
  auto read = intake_.next();
  if (!read) {
    fail_reading(read.error(), effects);
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
    stop(StateChange{JobState::failed, JobReason::bad_input,
                     fmt::format("{}: {} (--strict)", intake_.source_of(item.place), item.bad)},
         effects);
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
  OfferedCall call;
  call.planned.call = live.call;
  call.planned.parts = {PartId{job_, item, 0}};
  call.planned.kind = live.place.kind;
  PlannedModel planned = models_.plan(live.place.kind, raw, live.on_fallback);
  call.token_bound = openai::token_bound(spec_, live.place.kind, raw, planned.max_output_tokens);
  call.planned.model = std::move(planned.model);
  live.has_fallback = planned.has_fallback;
  call.planned.raw = std::move(raw);
  credit_.spend(call.bytes());
  effects.offers.push_back(std::move(call));
}

Effects Supervisor::outcomes(std::vector<ReportedOutcome> outcomes, Time now, Random& random) {
  Effects effects;
  for (ReportedOutcome& reported : outcomes) accept(reported, now, random, effects);
  fill(now, effects);
  return sealed(effects);
}

void Supervisor::accept(ReportedOutcome& reported, Time now, Random& random, Effects& effects) {
  openai::judge_label(spec_, reported.outcome);
  const protocol::Outcome& outcome = reported.outcome;
  if (outcome.parts.empty()) return;
  const std::uint64_t item = outcome.parts.front().item;
  LiveItem* live = ledger_.find(item);
  // An item that was never offered cannot have been called: nothing is promised to who says so.
  if (live == nullptr && !ledger_.is_terminal(item)) return;
  effects.append.acks.push_back({reported.session, outcome.attempt});
  // Withdrawn in favour of a twin, whose outcome decides; unless the twin is gone and this was it.
  if (outcome.cls == OutcomeClass::cancelled && !cancelling_) {
    if (live != nullptr && live->state == LiveState::out && live->call == outcome.call)
      again(item, *live, now, effects);
    return;
  }
  const bool current =
      live != nullptr && (live->call == outcome.call || live->state == LiveState::unknown);
  // A failure of an attempt that has a younger twin decides nothing: it may even have been handled
  // before, and told again because its Recorded got lost.
  if (live == nullptr || (!current && outcome.cls != OutcomeClass::ok)) {
    if (outcome.cls != OutcomeClass::cancelled) ++effects.append.note.late;
    return;
  }
  ++effects.append.note.attempts;
  effects.append.note.prompt_tokens += outcome.usage.prompt;
  effects.append.note.completion_tokens += outcome.usage.completion;
  effects.append.note.cost_nano_usd += reported.cost_nano_usd;
  ++live->tries;
  if (refused(item, *live, reported, now, effects)) return;
  if (info(outcome.cls).consumes_attempt) ++live->consumed;
  const Decision decision =
      decide(policy_, outcome.cls, live->consumed, outcome.retry_after_ms, now, random);
  if (decision.what == Decision::What::again)
    return retry(item, *live, reported, decision.not_before, effects);
  if (decision.what == Decision::What::failed && fall_back(item, *live, outcome.cls, now, effects))
    return;
  if (!current && live->state == LiveState::out) effects.withdrawn.push_back(live->call);
  finish(item, live->place, live->id, live->tries, outcome, reported.endpoint, effects);
}

// Whether an endpoint refuses the job rather than this item: then the item waits for a better one.
bool Supervisor::refused(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported,
                         Time now, Effects& effects) {
  const protocol::Outcome& outcome = reported.outcome;
  if (outcome.cls != OutcomeClass::config) {
    failures_.took(outcome.endpoint);
    return false;
  }
  if (cancelling_) return false;
  // A model that an endpoint does not know may be the item's own fault; a key never is.
  const bool may_be_own = outcome.http_status != 0 && outcome.http_status != 401;
  if (may_be_own && failures_.takes(outcome.endpoint)) return false;
  live.call = CallId{};
  ledger_.wait(item, live, now + refused_again_after);
  stop(failures_.refuses(outcome.endpoint, reported.endpoint,
                         described(live.id, live.place, outcome), reported.alternatives),
       effects);
  return true;
}

void Supervisor::stop(std::optional<StateChange> stop, Effects& effects) {
  if (!stop || paused_ || failed_ || cancelling_) return;
  // The job is at its end: there is nothing left to be saved by a pause.
  if (stop->state == JobState::paused && read_all_ && ledger_.live_count() == 0) return;
  (stop->state == JobState::paused ? paused_ : failed_) = true;
  effects.stop = std::move(stop);
}

std::string Supervisor::described(const std::string& id, const intake::Place& place,
                                  const protocol::Outcome& outcome) {
  const std::string status =
      outcome.http_status == 0 ? std::string{} : fmt::format("HTTP {} ", outcome.http_status);
  return fmt::format("{} ({}): {}{}: {}", openai::json::printable(id, 100),
                     intake_.source_of(place), status,
                     outcome.code.empty() ? info(outcome.cls).name : std::string_view{outcome.code},
                     openai::json::printable(outcome.message, 300));
}

// An item whose line cannot succeed at its model begins anew at the fallback, once.
bool Supervisor::fall_back(std::uint64_t item, LiveItem& live, OutcomeClass cls, Time now,
                           Effects& effects) {
  if (cancelling_ || live.on_fallback || !may_fall_back(cls)) return false;
  if (!live.has_fallback) return false;
  live.on_fallback = true;
  live.consumed = 0;
  effects.append.attempts.push_back(note_of(item, live));
  live.call = CallId{}; // if the failure is told again, it has been handled
  ledger_.wait(item, live, now);
  return true;
}

journal::AttemptNote Supervisor::note_of(std::uint64_t item, const LiveItem& live) const {
  return {job_, item, live.consumed, live.deaths, live.on_fallback ? std::max(live.tries, 1u) : 0};
}

void Supervisor::retry(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported,
                       Time not_before, Effects& effects) {
  if (cancelling_) {
    finish(item, live.place, live.id, live.tries, reported.outcome, reported.endpoint, effects);
    return;
  }
  if (info(reported.outcome.cls).consumes_attempt)
    effects.append.attempts.push_back(note_of(item, live));
  live.call = CallId{}; // if it is told again, it has been handled
  ledger_.wait(item, live, not_before);
}

void Supervisor::finish(std::uint64_t item, const intake::Place& place, const std::string& id,
                        std::uint32_t tries, const protocol::Outcome& outcome,
                        const std::string& endpoint, Effects& effects) {
  openai::Provenance about;
  about.source = intake_.source_of(place);
  about.attempts = tries;
  about.model = outcome.model;
  about.endpoint = endpoint;
  about.latency_ms = outcome.latency_us / 1'000;
  about.label = openai::label_of(spec_, outcome);
  about.item = item;
  about.input = intake_.kept_of(place);
  const bool failed = outcome.cls != OutcomeClass::ok;
  effects.append.lines.push_back(
      {job_, item, outcome.cls, openai::result_line(job_, id, outcome, about)});
  ++(failed ? effects.append.failed : effects.append.completed);
  ++undurable_lines_;
  auto stopped =
      failures_.ended(outcome.cls, outcome.code, failed ? described(id, place, outcome) : "");
  const bool first = ledger_.make_terminal(item); // place and id may be of the item that ends here
  GRISTMILL_CHECK(first, "item {} became terminal twice", item);
  stop(std::move(stopped), effects);
}

void Supervisor::give_up(std::uint64_t item, const LiveItem& live, OutcomeClass cls,
                         std::string code, std::string message, Effects& effects) {
  const LiveItem kept = live; // finish() forgets the live item
  finish(item, kept.place, kept.id, kept.tries, local_end(cls, std::move(code), std::move(message)),
         "", effects);
}

void Supervisor::again(std::uint64_t item, LiveItem& live, Time now, Effects& effects) {
  if (cancelling_) {
    give_up(item, live, OutcomeClass::cancelled, "cancelled", "the job was cancelled", effects);
  } else {
    ledger_.wait(item, live, now);
  }
}

Effects Supervisor::returned(const std::vector<LostCall>& calls, Time now) {
  Effects effects;
  for (const LostCall& call : calls) {
    LiveItem* live = ledger_.find(call.item);
    if (live != nullptr && live->state == LiveState::out && live->call == call.call)
      again(call.item, *live, now, effects);
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::lost(const std::vector<LostCall>& calls, Time now) {
  Effects effects;
  for (const LostCall& call : calls) {
    LiveItem* live = ledger_.find(call.item);
    if (live == nullptr || live->state != LiveState::out || live->call != call.call) continue;
    if (call.permitted) ++effects.append.note.ambiguous;
    if (call.permitted && call.died) {
      ++live->deaths;
      effects.append.attempts.push_back(note_of(call.item, *live));
    }
    // Only a call that was alone at a death is known to be its cause.
    if (live->deaths >= deaths_max && call.alone) {
      give_up(call.item, *live, OutcomeClass::bad_line, "quarantined",
              fmt::format("{} workers died while they made this call", live->deaths), effects);
    } else {
      again(call.item, *live, now, effects);
    }
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::claimed(const std::vector<protocol::Claim>& claims, Time now) {
  Effects effects;
  for (const protocol::Claim& claim : claims) {
    for (const PartId& part : claim.parts) {
      LiveItem* live = ledger_.find(part.item);
      if (live == nullptr) {
        if (ledger_.is_terminal(part.item)) effects.withdrawn.push_back(claim.call);
        continue;
      }
      if (live->state == LiveState::out && live->call != claim.call)
        effects.withdrawn.push_back(live->call);
      if (live->state == LiveState::ready) {
        // Taken out of the waiting ones: its call goes on.
        ledger_.wait(part.item, *live, Time::min());
        std::uint64_t taken = 0;
        live = ledger_.take_due(Time::min(), taken);
        GRISTMILL_CHECK(taken == part.item, "took item {} for {}", taken, part.item);
      }
      live->state = LiveState::out;
      live->call = claim.call;
      if (live->deaths > 0) --live->deaths; // its worker lives after all
    }
  }
  fill(now, effects);
  return sealed(effects);
}

// The outcome itself follows. It may be one that was handled already and whose Recorded got lost,
// so it takes the item from nobody; after a restart it keeps the item from being called again.
Effects Supervisor::kept(const std::vector<protocol::Claim>& claims, Time now) {
  Effects effects;
  for (const protocol::Claim& claim : claims) {
    for (const PartId& part : claim.parts) {
      LiveItem* live = ledger_.find(part.item);
      if (live == nullptr || live->state != LiveState::unknown) continue;
      live->state = LiveState::out;
      live->call = claim.call;
    }
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::grace_over(Time now) {
  Effects effects;
  if (grace_) {
    grace_ = false;
    std::vector<std::uint64_t> unclaimed;
    for (const auto& [item, live] : ledger_.live())
      if (live.state == LiveState::unknown) unclaimed.push_back(item);
    std::sort(unclaimed.begin(), unclaimed.end());
    if (may_have_called_) effects.append.note.ambiguous += unclaimed.size();
    for (const std::uint64_t item : unclaimed) again(item, *ledger_.find(item), now, effects);
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::cancel(Time now) {
  Effects effects;
  if (!cancelling_) {
    cancelling_ = true;
    cancel_deadline_ = now + cancel_grace;
    cancel_live(false, effects);
  }
  fill(now, effects);
  return sealed(effects);
}

void Supervisor::cancel_live(bool out_too, Effects& effects) {
  std::vector<std::uint64_t> items;
  for (const auto& [item, live] : ledger_.live())
    if (out_too || live.state != LiveState::out) items.push_back(item);
  std::sort(items.begin(), items.end());
  for (const std::uint64_t item : items) {
    const LiveItem& live = *ledger_.find(item);
    if (live.state == LiveState::out) effects.withdrawn.push_back(live.call);
    give_up(item, live, OutcomeClass::cancelled, "cancelled", "the job was cancelled", effects);
  }
}

// What is out comes back by itself: COORDINATOR returns what no worker has begun.
Effects Supervisor::pause(Time now) {
  paused_ = true;
  return tick(now);
}

Effects Supervisor::resume(Time now) {
  paused_ = false;
  failures_.resumed();
  return tick(now);
}

Effects Supervisor::durable(std::uint64_t completed, std::uint64_t failed, Time now) {
  Effects effects;
  counts_.completed += completed;
  counts_.failed += failed;
  undurable_lines_ -= completed + failed;
  effects.progress = true;
  fill(now, effects);
  return sealed(effects);
}

// Last step of every event: the append carries where reading would go on, and the end is seen.
Effects& Supervisor::sealed(Effects& effects) {
  Append& append = effects.append;
  if (!append.empty()) {
    append.note.job = job_;
    append.note.low = low();
    counts_.attempts += append.note.attempts;
    counts_.ambiguous += append.note.ambiguous;
    counts_.late += append.note.late;
    counts_.prompt_tokens += append.note.prompt_tokens;
    counts_.completion_tokens += append.note.completion_tokens;
    counts_.cost_nano_usd += append.note.cost_nano_usd;
  }
  if (read_all_ && !said_all_ && !failed_ && counts_.terminal() == counts_.total) {
    said_all_ = true;
    effects.all_terminal = true;
  }
  return effects;
}

InputPosition Supervisor::low() const {
  const std::uint64_t low = ledger_.low();
  if (low >= intake_.position().item) return intake_.position();
  const auto it = ledger_.live().find(low);
  GRISTMILL_CHECK(it != ledger_.live().end(), "item {} is neither live nor terminal", low);
  const intake::Place& place = it->second.place;
  return {place.input, place.offset, place.line == 0 ? 0 : place.line - 1, low};
}

Time Supervisor::wake_at() const {
  if (failed_) return never;
  if (catching_up_) return Time::min();
  if (paused_ && !cancelling_) return never;
  if (more_to_read_ && may_read()) return Time::min();
  Time at = cancel_deadline_;
  if (credit_.left()) at = std::min(at, ledger_.next_due());
  return at;
}

JobCounts Supervisor::counts() const {
  JobCounts counts = counts_;
  counts.retrying = ledger_.waiting_count();
  return counts;
}

} // namespace gristmill::supervisor
