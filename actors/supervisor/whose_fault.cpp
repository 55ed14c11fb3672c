// Whose fault a failure was, and what its item pays (outcome_class.cpp). An endpoint's faults cost
// an item nothing; but one whose calls make an endpoint fail is found by changing the item: it
// becomes a suspect when others survive what it met, goes alone in the end, and is `poison` when it
// failed alone three times, each time after another was answered.
#include "actors/supervisor/supervisor.hpp"

#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace gristmill::supervisor {
namespace {

// With nobody left to compare an item with, it may well be what brings the endpoint down.
constexpr std::uint32_t probes_max = 20;
constexpr Duration probe_pause_most = std::chrono::seconds{60};
// One is needed after each of the failures by which an item is found, but the last: two beside
// others, two alone; the rest is for what comes between.
constexpr std::size_t witnesses_kept = 8, witnesses_out = 3;
// So few may be all of the kind that times out, or that brings its endpoint down.
constexpr std::size_t few = 8;

Duration probe_pause(std::uint32_t probes) {
  const Duration pause = std::chrono::seconds{std::int64_t{1} << std::min(probes, 10u)};
  return std::min(pause, probe_pause_most);
}

// The server took the call and then failed, or its gateway says so.
bool went_down(const protocol::Outcome& outcome) {
  const bool lost = info(outcome.cls).news == EndpointNews::away && !was_never_sent(outcome.code);
  return lost || outcome.cls == OutcomeClass::gateway;
}

} // namespace

void Supervisor::heard_answer(std::uint64_t item, const ReportedOutcome& reported, Time now,
                              Effects& effects) {
  const EndpointId endpoint = reported.outcome.endpoint;
  const Duration took = std::chrono::microseconds{reported.outcome.latency_us};
  ++answers_;
  if (single_ == item && alone_ != item) ++answered_single_;
  probing_ = false;
  outage_.ended();
  // What was on its way when an endpoint failed says nothing of how it is now.
  ledger_.end_of_outage(reported.began == Time{} ? now - took : reported.began, now);
  for (const Debts::Debt& debt : debts_.answered(endpoint, item, now)) pay(debt, now, effects);
}

void Supervisor::pay(const Debts::Debt& debt, Time now, Effects& effects) {
  LiveItem* live = ledger_.find(debt.item);
  if (live == nullptr) return;
  if (debt.kind == Debts::Kind::suspicion) return ledger_.suspect(debt.item, *live, now);
  if (debt.kind == Debts::Kind::slight_suspicion) {
    if (live->suspicions < suspicions_portion) ledger_.suspect(debt.item, *live, now);
    return;
  }
  live->consumed += mutated("debt_paid_twice") ? 2 : 1;
  effects.append.attempts.push_back(note_of(debt.item, *live));
  // One that is out may yet be answered.
  if (live->consumed <= policy_.retries || live->state != LiveState::ready || !live->words) return;
  const LiveItem kept = *live; // finish() forgets it
  finish(debt.item, kept.place, kept.id, kept.tries, kept.words->outcome(), kept.words->endpoint,
         effects);
}

// Whether the failure counts against the item's retries now.
bool Supervisor::pays(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported,
                      Time now) {
  const protocol::Outcome& outcome = reported.outcome;
  switch (info(outcome.cls).toll) {
  case Toll::attempt:
  case Toll::one_more: return true;
  case Toll::attempt_if_well:
    // Those that are left have all been tried: nobody will be answered meanwhile.
    if (reported.doubt != Doubt::crowded && answers_ > 0 && only_few_are_left()) return true;
    return reported.doubt == Doubt::none &&
           debts_.timed_out(outcome.endpoint, item, reported.began, now);
  case Toll::suspicion: meets_a_fault(item, live, reported); return mutated("fault_costs_attempt");
  case Toll::none:
  case Toll::item: return false;
  }
  return false;
}

void Supervisor::meets_a_fault(std::uint64_t item, LiveItem& live,
                               const ReportedOutcome& reported) {
  const protocol::Outcome& outcome = reported.outcome;
  // A probe says little of its item, and a server that is full of our calls says nothing.
  const bool full = info(outcome.cls).news == EndpointNews::full;
  const bool telling = reported.doubt == Doubt::none || (reported.doubt == Doubt::crowded && !full);
  const bool first_loss = live.losses == 0 && went_down(outcome);
  if (single_ == item && alone_ != item && first_loss) ++lost_single_;
  if (live.lane() == Lane::alone) {
    const bool counts = telling && !was_never_sent(outcome.code) && answers_ >= live.alone_after;
    if (counts && alone_ == item) ++live.alone_failures;
    // Nor does one count that finds the endpoint as this one left it.
    for (const std::uint64_t other : ledger_.alone()) {
      LiveItem& waits = *ledger_.find(other);
      waits.alone_after = std::max(waits.alone_after, answers_ + 1);
    }
    live.alone_after = answers_ + 1;
  } else if (telling && !was_never_sent(outcome.code)) {
    debts_.met_a_fault(outcome.endpoint, item);
  } else if (reported.doubt == Doubt::held && went_down(outcome)) {
    debts_.met_a_fault(outcome.endpoint, item, true);
  }
}

// Nobody else is there to be tried: only those that go alone are left, or a single one.
bool Supervisor::is_last() const {
  return read_all_ && (ledger_.live_count() == 1 || ledger_.live_count() == ledger_.alone().size());
}

// Where others are lost by themselves too, a balancer with a dead server behind it, an item must
// fail so often that this would not come by chance.
std::uint8_t Supervisor::alone_failures_needed() const {
  constexpr double by_chance = 1e-3, failures_most = 40;
  constexpr std::uint32_t lost_items_least = 3; // of fewer one may be who is sought
  if (lost_single_ < lost_items_least) return alone_failures_max;
  const double lost = lost_single_, share = lost / (lost + std::max(answered_single_, 1u));
  const double needed = std::ceil(std::log(by_chance) / std::log(share));
  return static_cast<std::uint8_t>(std::clamp(needed, 1.0 * alone_failures_max, failures_most));
}

bool Supervisor::only_few_are_left() const {
  if (!read_all_ || ledger_.live_count() > few) return false;
  return std::all_of(ledger_.live().begin(), ledger_.live().end(),
                     [](const auto& one) { return one.second.tries > 0; });
}

// The item has not paid for it: it waits for its endpoint, and with it the job, if all do.
void Supervisor::mind_outage(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported,
                             Time now, Effects& effects) {
  const OutcomeClassInfo& about = info(reported.outcome.cls);
  if (about.news == EndpointNews::none) return; // nothing was asked
  LastWords words = LastWords::of(reported.outcome, reported.endpoint);
  live.words = std::make_shared<LastWords>(words);
  if (about.is_endpoints() || about.toll == Toll::attempt_if_well)
    ledger_.fall_behind(item, live, now);
  outage_.failed(std::move(words), reported.began == Time{} ? now : reported.began);
  stop(outage_.over(now), effects);
}

// When an item that a fault of its endpoint met is tried again.
Time Supervisor::again_at(LiveItem& live, const ReportedOutcome& reported, Time not_before,
                          Time now, Effects& effects) {
  if (!went_down(reported.outcome)) return not_before;
  ++live.losses;
  if (!is_last() && (live.suspicions == 0 || !only_few_are_left())) return not_before;
  const Time at = std::max(not_before, now + probe_pause(live.probes++));
  if (live.probes >= probes_max && spec_.policy.patience_s == 0)
    stop(StateChange{JobState::paused, JobReason::endpoint,
                     fmt::format("{} has failed {} times at one of the last items: {}",
                                 outage_.where(), live.probes,
                                 described(live.id, live.place, reported.outcome))},
         effects);
  return at;
}

void Supervisor::poison(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported,
                        Time now, Effects& effects) {
  protocol::Outcome outcome;
  outcome.call = reported.outcome.call;
  outcome.model = reported.outcome.model;
  outcome.cls = OutcomeClass::poison;
  outcome.code = info(OutcomeClass::poison).name;
  outcome.message = fmt::format(
      "the endpoint failed {} times at this item alone, each time after others were answered: {}",
      live.alone_failures, LastWords::of(reported.outcome, reported.endpoint).text());
  if (fall_back(item, live, outcome, now, effects)) {
    alone_.reset();
    return ledger_.clear(item, live);
  }
  meet(outcome, live.id, live.place);
  finish(item, live.place, live.id, live.tries, outcome, reported.endpoint, effects);
}

// The item that goes alone next, if its time has come: the one that has failed so most often, while
// there is somebody to compare it with. Until another was answered since the last failure it is the
// one that has failed least, and only where nobody else is left.
std::optional<std::uint64_t> Supervisor::next_alone(Time now) const {
  std::optional<std::uint64_t> next;
  const LiveItem* best = nullptr;
  const bool witnessed = !needs_witness();
  if (!witnessed && !is_last()) return std::nullopt;
  for (const std::uint64_t item : ledger_.alone()) {
    const LiveItem& live = ledger_.live().at(item);
    if (live.state != LiveState::ready || (witnessed && live.not_before > now)) continue;
    const bool better = best == nullptr || (witnessed ? live.alone_failures > best->alone_failures
                                                      : live.alone_failures < best->alone_failures);
    if (!better) continue;
    best = &live;
    next = item;
  }
  return best != nullptr && best->not_before <= now ? next : std::nullopt;
}

// One of those that go alone has failed: another has to be answered before it is tried again. They
// go one by one, so that there are some left to be compared with.
bool Supervisor::needs_witness() const {
  return std::any_of(ledger_.alone().begin(), ledger_.alone().end(), [this](std::uint64_t item) {
    return answers_ < ledger_.live().at(item).alone_after;
  });
}

// While one is sought that makes its endpoint fail, the last others are kept back: they go one by
// one, to probe the endpoint and to be answered between two failures of those that go alone. In
// the end nobody else waits, and they go by a few.
bool Supervisor::keeps_witnesses() const {
  if (cancelling_ || ledger_.suspects() == 0) return false;
  if (ledger_.waiting_count(Lane::open) > witnesses_kept) return false;
  const bool probes = needs_witness() || ledger_.waiting_count(Lane::behind) > 0;
  if (probes) return ledger_.out_count() > 0;
  const bool others = ledger_.waiting_count(Lane::portions) > 0 || !ledger_.alone().empty();
  return others || ledger_.out_count() >= witnesses_out;
}

bool Supervisor::is_alone_out() const {
  if (!alone_) return false;
  const auto it = ledger_.live().find(*alone_);
  return it != ledger_.live().end() && it->second.state != LiveState::ready;
}

} // namespace gristmill::supervisor
