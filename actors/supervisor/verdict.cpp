// What SUPERVISOR makes of an outcome: the item's end, another try, another model, or the job's
// stop.
#include "actors/supervisor/supervisor.hpp"
#include "protocol/rules/served.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/task/labels.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::supervisor {
namespace {

constexpr auto refused_again_after = std::chrono::seconds{1};
constexpr std::uint8_t refusals_of_one = 3;

protocol::Outcome local_end(OutcomeClass cls, std::string code, std::string message) {
  protocol::Outcome outcome;
  outcome.cls = cls;
  outcome.code = std::move(code);
  outcome.message = std::move(message);
  return outcome;
}

} // namespace

void Supervisor::accept(ReportedOutcome& reported, Time now, Random& random, Effects& effects) {
  openai::judge_body(reported.outcome);
  openai::judge_label(spec_, reported.outcome);
  const protocol::Outcome& outcome = reported.outcome;
  if (outcome.parts.empty()) return;
  const std::uint64_t item = outcome.parts.front().item;
  LiveItem* live = ledger_.find(item);
  // An item that was never offered cannot have been called: nothing is promised to who says so.
  if (live == nullptr && !ledger_.is_terminal(item)) return;
  // Without an attempt there was no call: nobody serves it.
  const bool called = bool{outcome.attempt};
  if (called) effects.append.acks.push_back({reported.session, outcome.attempt});
  // Also of one that comes too late: it was paid for.
  effects.append.note.cost_nano_usd += reported.cost_nano_usd;
  // Withdrawn in favour of a twin, whose outcome decides; unless the twin is gone and this was it.
  if (outcome.cls == OutcomeClass::cancelled && !cancelling_) {
    if (live != nullptr && live->is_out_with(outcome.call))
      gone(item, *live, outcome.call, now, effects);
    if (live == nullptr && called && hedging_.is_on()) ++effects.append.note.late;
    return;
  }
  // One that is out with this call, or perhaps with it: an unknown one that names it has heard of
  // its failure.
  const bool current =
      live != nullptr && (live->state == LiveState::unknown
                              ? live->call != outcome.call
                              : live->call == outcome.call || live->is_out_with(outcome.call));
  // A failure of an attempt that has a younger twin decides nothing: it may even have been handled
  // before, and told again because its Recorded got lost.
  if (live == nullptr && outcome.cls == OutcomeClass::ok && mutated("first_outcome_does_not_win")) {
    effects.append.lines.push_back({job_, item, outcome.cls, "{}"});
    return;
  }
  if (live == nullptr || (!current && outcome.cls != OutcomeClass::ok)) {
    if (outcome.cls != OutcomeClass::cancelled) ++effects.append.note.late;
    return;
  }
  if (called) ++effects.append.note.attempts;
  effects.append.note.prompt_tokens += outcome.usage.prompt;
  effects.append.note.completion_tokens += outcome.usage.completion;
  if (called) ++live->tries;
  if (info(outcome.cls).shows_it_well() && outcome.http_status != 0)
    heard_answer(item, reported, now, effects);
  if (outcome.cls == OutcomeClass::ok)
    hedging_.answered(std::chrono::microseconds{outcome.latency_us});
  // While the other of two calls flies, the failure of one decides nothing.
  if (outcome.cls != OutcomeClass::ok && live->twin && !mutated("twin_failure_decides"))
    return ItemLedger::drop_twin(*live, outcome.call);
  if (outcome.cls != OutcomeClass::ok) meet(outcome, live->id, live->place);
  // The failure may be the one that sent the item to its fallback; nothing says whether it is.
  if (outcome.cls != OutcomeClass::ok && live->on_fallback && of_earlier_life(outcome.call))
    return retry(item, *live, reported, now, effects);
  if (refused(item, *live, reported, now, effects)) return;
  watch_quota(*live, reported, effects);
  const bool paid = pays(item, *live, reported, now);
  if (paid) live->consumed = consumed_after(policy_, outcome.cls, live->consumed);
  if (live->alone_failures >= alone_failures_needed() && info(outcome.cls).is_endpoints())
    return poison(item, *live, reported, now, effects);
  const Decision decision =
      decide(policy_, outcome.cls, live->consumed, outcome.retry_after_ms, now, random);
  if (decision.what == Decision::What::again) {
    if (!paid) mind_outage(item, *live, reported, now, effects);
    const Time at = again_at(*live, reported, decision.not_before, now, effects);
    return retry(item, *live, reported, at, effects);
  }
  if (decision.what == Decision::What::failed && fall_back(item, *live, outcome, now, effects))
    return;
  withdraw(*live, outcome.call, effects);
  finish(item, live->place, live->id, live->tries, outcome, reported.endpoint, effects);
}

bool Supervisor::of_earlier_life(CallId call) const {
  return call.value >> 52 != next_call_ >> 52;
}

// After a restart a failure may be an old one, whose Recorded got lost: the item waits for the
// claim of whoever has made its next call meanwhile.
void Supervisor::wait_again(std::uint64_t item, LiveItem& live, CallId failed, Time not_before) {
  if (grace_ && of_earlier_life(failed)) {
    ledger_.set_state(live, LiveState::unknown);
    live.call = failed;
    return;
  }
  live.call = CallId{}; // if it is told again, it has been handled
  ledger_.wait(item, live, not_before);
}

// Whether an endpoint refuses the job rather than this item: then the item waits for a better one.
bool Supervisor::refused(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported,
                         Time now, Effects& effects) {
  const protocol::Outcome& outcome = reported.outcome;
  if (info(outcome.cls).news != EndpointNews::refuses) {
    if (info(outcome.cls).news == EndpointNews::answered) failures_.took(outcome.endpoint);
    if (outcome.cls == OutcomeClass::ok) note_served(live, outcome);
    return false;
  }
  if (cancelling_ || is_own_refusal(live, outcome)) return false;
  mind_outage(item, live, reported, now, effects);
  const auto longer = only_few_are_left() ? std::min<int>(live.refusals, refusals_of_one) : 0;
  wait_again(item, live, outcome.call, now + refused_again_after * (1 << longer));
  stop(failures_.refuses(outcome.endpoint, reported.endpoint,
                         fmt::format("{} {}", outcome.http_status, outcome.code),
                         described(live.id, live.place, outcome), reported.alternatives, now),
       effects);
  return true;
}

// A model that an endpoint never served while it served others is the item's own fault. So is what
// one item is refused again and again while others are answered, or nobody is left to be.
bool Supervisor::is_own_refusal(LiveItem& live, const protocol::Outcome& outcome) {
  if (!may_be_own_refusal(outcome.http_status) || !failures_.takes(outcome.endpoint)) return false;
  if (!failures_.serves(outcome.endpoint, model_asked(live))) return true;
  const bool others_answered = live.refusals == 0 || answers_ > live.refused_after;
  if (!others_answered && !only_few_are_left()) return false;
  live.refused_after = answers_;
  return ++live.refusals > refusals_of_one;
}

// Not of every answer: the item has to be read again.
void Supervisor::note_served(const LiveItem& live, const protocol::Outcome& outcome) {
  constexpr std::uint64_t all_of_the_first = 64, one_of = 64;
  if (served_++ >= all_of_the_first && served_ % one_of != 0) return;
  failures_.served(outcome.endpoint, model_asked(live));
}

// Empty = the job's own, or it cannot be told.
std::string Supervisor::model_asked(const LiveItem& live) {
  if (!model_of_all(spec_).empty() || live.place.kind != ItemKind::batch_line) return {};
  const auto raw = intake_.read_again(live.place);
  return raw ? model_of_line(*raw) : std::string{};
}

void Supervisor::watch_quota(const LiveItem& live, const ReportedOutcome& reported,
                             Effects& effects) {
  const protocol::Outcome& outcome = reported.outcome;
  if (outcome.cls == OutcomeClass::ok) quota_.answered(outcome.endpoint);
  if (outcome.cls != OutcomeClass::quota) return;
  stop(quota_.used_up(outcome.endpoint, reported.endpoint, described(live.id, live.place, outcome),
                      reported.alternatives),
       effects);
}

void Supervisor::stop(std::optional<StateChange> stop, Effects& effects) {
  if (!stop || paused_ || failed_ || cancelling_) return;
  // The job is at its end: there is nothing left to be saved by a pause.
  if (stop->state == JobState::paused && read_all_ && ledger_.live_count() == 0) return;
  (stop->state == JobState::paused ? paused_ : failed_) = true;
  effects.stop = std::move(stop);
}

void Supervisor::meet(const protocol::Outcome& outcome, const std::string& id,
                      const intake::Place& place) {
  const std::string source = intake_.source_of(place);
  errors_.met({outcome.cls, outcome.code, outcome.http_status, outcome.message, id, source});
}

std::string Supervisor::described(const std::string& id, const intake::Place& place,
                                  const protocol::Outcome& outcome) {
  return fmt::format("{} ({}): {}", json::printable(id, 100), intake_.source_of(place),
                     LastWords::of(outcome, "").text());
}

// An item whose line cannot succeed at its model begins anew at the fallback, once.
bool Supervisor::fall_back(std::uint64_t item, LiveItem& live, const protocol::Outcome& outcome,
                           Time now, Effects& effects) {
  if (cancelling_ || live.on_fallback || !may_fall_back(outcome.cls)) return false;
  if (!live.has_fallback) return false;
  live.on_fallback = true;
  live.consumed = 0;
  effects.append.attempts.push_back(note_of(item, live));
  wait_again(item, live, outcome.call, now);
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
  const OutcomeClassInfo& about = info(reported.outcome.cls);
  if (about.consumes_attempt()) effects.append.attempts.push_back(note_of(item, live));
  if (about.consumes_attempt() || about.is_endpoints())
    ledger_.failed_at(live, reported.outcome.endpoint);
  wait_again(item, live, reported.outcome.call, not_before);
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
  if (failed) errors_.ended_item({outcome.cls, outcome.code, outcome.http_status, {}});
  auto stopped =
      failures_.ended(outcome.cls, outcome.code, failed ? described(id, place, outcome) : "");
  const bool first = ledger_.make_terminal(item); // place and id may be of the item that ends here
  GRISTMILL_CHECK(first, "item {} became terminal twice", item);
  stop(std::move(stopped), effects);
}

void Supervisor::give_up(std::uint64_t item, const LiveItem& live, OutcomeClass cls,
                         std::string code, std::string message, Effects& effects) {
  const LiveItem kept = live; // finish() forgets the live item
  const protocol::Outcome end = local_end(cls, std::move(code), std::move(message));
  meet(end, kept.id, kept.place);
  finish(item, kept.place, kept.id, kept.tries, end, "", effects);
}

void Supervisor::again(std::uint64_t item, LiveItem& live, Time now, Effects& effects) {
  if (cancelling_) {
    give_up(item, live, OutcomeClass::cancelled, "cancelled", "the job was cancelled", effects);
  } else {
    ledger_.wait(item, live, now);
  }
}

} // namespace gristmill::supervisor
