#include "actors/supervisor/verdict/verdict.hpp"

#include "actors/kit/mutant.hpp"
#include "actors/supervisor/model_plan.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace gristmill::supervisor {
namespace {

constexpr auto refused_again_after = std::chrono::seconds{1};
constexpr std::uint8_t refusals_of_one = 3;
// With nobody left to compare a part with, it may well be what brings the endpoint down.
constexpr std::uint32_t probes_max = 20;
constexpr Duration probe_pause_most = std::chrono::seconds{60};

Duration probe_pause(std::uint32_t probes) {
  const Duration pause = std::chrono::seconds{std::int64_t{1} << std::min(probes, 10u)};
  return std::min(pause, probe_pause_most);
}

// The server took the call and then failed, or its gateway says so.
bool went_down(const protocol::Reply& reply) {
  const bool lost = info(reply.cls).news == EndpointNews::away && !was_never_sent(reply.code);
  return lost || reply.cls == OutcomeClass::gateway;
}

// So that the part whose fault it is, if it is one's, is found in few calls.
std::uint32_t half_of(const protocol::Outcome& outcome) {
  return static_cast<std::uint32_t>((outcome.parts.size() + 1) / 2);
}

// It was refused together with others, and may be refused for the fault of one of them. What was
// answered, but not for this part, is no failure of the call.
bool is_apart(const Case& part, const ReportedOutcome& call, const protocol::Reply& reply) {
  const OutcomeClassInfo& about = info(reply.cls);
  const bool of_one = about.refuses_several() ||
                      (call.outcome.cls == OutcomeClass::ok && about.fault == Fault::item);
  return call.outcome.parts.size() > 1 && of_one && !part.cancelling;
}

} // namespace

protocol::Reply poison_reply(const ReportedOutcome& call, std::uint32_t failures) {
  protocol::Reply reply;
  reply.model = call.outcome.model;
  reply.cls = OutcomeClass::poison;
  reply.code = info(OutcomeClass::poison).name;
  reply.message = fmt::format(
      "the endpoint failed {} times at this item alone, each time after others were answered: {}",
      failures, LastWords::of(call.outcome, call.endpoint).text());
  return reply;
}

std::vector<Debts::Debt> Verdict::heard_answer(const ReportedOutcome& call, Time now) {
  suspects_.answered(call.outcome.parts);
  outage_.ended();
  return debts_.answered(call.outcome.endpoint, call.outcome.parts, now);
}

void Verdict::resumed(bool probing) {
  if (!probing) {
    failures_.resumed();
    outage_.ended();
  }
  quota_.resumed();
}

Judgement Verdict::judge(const Case& part, const ReportedOutcome& call,
                         const protocol::Reply& reply, Time now, Random& random) {
  const OutcomeClassInfo& about = info(reply.cls);
  Judgement judgement;
  judgement.tally = part.tally;
  // The failure may be the one that sent the part to its fallback; nothing says whether it is.
  if (reply.cls != OutcomeClass::ok && part.tally.on_fallback && part.before_fallback) {
    judgement.what = Judgement::What::again;
    judgement.not_before = now;
    judgement.noted = about.consumes_attempt();
    judgement.elsewhere = about.consumes_attempt() || about.is_endpoints();
    return judgement;
  }
  if (is_apart(part, call, reply)) {
    judgement.what = Judgement::What::apart;
    judgement.company = half_of(call.outcome);
    return judgement;
  }
  judgement = weigh(part, call, reply, now, random);
  // What fails in company again and again, or brings the server down, may be one of them.
  const bool fails =
      judgement.what == Judgement::What::again || judgement.what == Judgement::What::ends;
  if (call.outcome.parts.size() > 1 && fails && (judgement.tally.consumed > 1 || went_down(reply)))
    judgement.company = half_of(call.outcome);
  return judgement;
}

Judgement Verdict::weigh(const Case& part, const ReportedOutcome& call,
                         const protocol::Reply& reply, Time now, Random& random) {
  const OutcomeClassInfo& about = info(reply.cls);
  const EndpointId endpoint = call.outcome.endpoint;
  const bool may_fall_back_now = !part.cancelling && part.has_fallback && !part.tally.on_fallback;
  Judgement judgement;
  judgement.tally = part.tally;
  PartTally& tally = judgement.tally;
  if (about.news == EndpointNews::refuses && !part.cancelling &&
      !is_own_refusal(part, call, reply.http_status, tally)) {
    refused(part, call, now, judgement);
    return judgement;
  }
  if (about.news == EndpointNews::answered) failures_.took(endpoint);
  if (reply.cls == OutcomeClass::ok) {
    if (call.model) failures_.served(endpoint, *call.model);
    quota_.answered(endpoint);
  }
  if (reply.cls == OutcomeClass::quota && part.speaks_for_call)
    judgement.stops(quota_.used_up(endpoint, call.endpoint, part.described, call.alternatives));
  const bool paid = pays(part, call, reply, now, judgement);
  if (paid) tally.consumed = policy_.consumed_after(reply.cls, tally.consumed);
  if (tally.alone_failures >= suspects_.failures_needed() && about.is_endpoints()) {
    judgement.cleared = may_fall_back_now;
    judgement.what = judgement.cleared ? Judgement::What::falls_back : Judgement::What::is_poison;
    return judgement;
  }
  Decision decision = policy_.decide(reply.cls, tally.consumed, reply.retry_after_ms, now, random);
  if (reply.may_be_repaired && decision.what == Decision::What::again) {
    const bool again = !std::exchange(tally.repaired, true) || mutated("repaired_for_ever");
    decision = again ? Decision{Decision::What::again, now} : Decision{Decision::What::failed, {}};
    judgement.repairs = again;
  }
  if (decision.what == Decision::What::again) {
    if (!paid) mind_outage(part, call, now, judgement);
    judgement.what = Judgement::What::again;
    judgement.not_before = again_at(part, reply, decision.not_before, now, judgement);
    judgement.noted = about.consumes_attempt();
    judgement.elsewhere = about.consumes_attempt() || about.is_endpoints();
  } else if (decision.what == Decision::What::failed && may_fall_back_now &&
             may_fall_back(reply.cls)) {
    judgement.what = Judgement::What::falls_back;
  }
  return judgement;
}

// An endpoint refuses the job rather than this part, which waits for a better one.
void Verdict::refused(const Case& part, const ReportedOutcome& call, Time now,
                      Judgement& judgement) {
  const protocol::Outcome& outcome = call.outcome;
  mind_outage(part, call, now, judgement);
  const auto longer = part.few_left ? std::min<int>(judgement.tally.refusals, refusals_of_one) : 0;
  judgement.what = Judgement::What::again;
  judgement.not_before = now + refused_again_after * (1 << longer);
  if (part.speaks_for_call)
    judgement.stops(failures_.refuses({outcome.endpoint, call.endpoint,
                                       fmt::format("{} {}", outcome.http_status, outcome.code),
                                       part.described, call.alternatives},
                                      now));
}

// A model that an endpoint never served while it served others is the part's own fault. So is what
// one part is refused again and again while others are answered, or nobody is left to be.
bool Verdict::is_own_refusal(const Case& part, const ReportedOutcome& call, std::uint16_t status,
                             PartTally& tally) const {
  const EndpointId endpoint = call.outcome.endpoint;
  if (!may_be_own_refusal(status) || !failures_.takes(endpoint)) return false;
  if (call.model && !failures_.serves(endpoint, *call.model)) return true;
  const std::uint64_t answers = suspects_.answers();
  const bool others_answered = tally.refusals == 0 || answers > tally.refused_after;
  if (!others_answered && !part.few_left) return false;
  tally.refused_after = answers;
  return ++tally.refusals > refusals_of_one;
}

// Whether the failure counts against the part's retries now.
bool Verdict::pays(const Case& part, const ReportedOutcome& call, const protocol::Reply& reply,
                   Time now, Judgement& judgement) {
  switch (info(reply.cls).toll) {
  case Toll::attempt:
  case Toll::one_more: return true;
  case Toll::attempt_if_well:
    // Those that are left have all been tried: nobody will be answered meanwhile.
    if (call.doubt != Doubt::crowded && suspects_.answers() > 0 && part.few_left) return true;
    return call.doubt == Doubt::none &&
           debts_.timed_out(call.outcome.endpoint, part.part, call.began, now);
  case Toll::suspicion:
    meets_a_fault(part, call, reply, judgement);
    return mutated("fault_costs_attempt");
  case Toll::none:
  case Toll::item: return false;
  }
  return false;
}

void Verdict::meets_a_fault(const Case& part, const ReportedOutcome& call,
                            const protocol::Reply& reply, Judgement& judgement) {
  // A probe says little of its part, and a server that is full of our calls says nothing.
  const bool full = info(reply.cls).news == EndpointNews::full;
  const bool telling = call.doubt == Doubt::none || (call.doubt == Doubt::crowded && !full);
  const bool sent = !was_never_sent(reply.code);
  PartTally& tally = judgement.tally;
  if (tally.losses == 0 && went_down(reply)) suspects_.lost(part.part);
  if (part.lane == Lane::alone) {
    const bool counts = telling && sent && suspects_.answers() >= tally.alone_after;
    if (counts && suspects_.is_alone(part.part)) ++tally.alone_failures;
    // Nor does one count that finds the endpoint as this one left it.
    judgement.alone_wait = tally.alone_after = suspects_.answers() + 1;
  } else if (telling && sent) {
    debts_.met_a_fault(call.outcome.endpoint, part.part);
  } else if (call.doubt == Doubt::held && went_down(reply)) {
    debts_.met_a_fault(call.outcome.endpoint, part.part, true);
  }
}

// The part has not paid for it: it waits for its endpoint, and with it the job, if all do.
void Verdict::mind_outage(const Case& part, const ReportedOutcome& call, Time now,
                          Judgement& judgement) {
  const OutcomeClassInfo& about = info(call.outcome.cls);
  if (about.news == EndpointNews::none) return; // nothing was asked
  LastWords words = LastWords::of(call.outcome, call.endpoint);
  judgement.tally.words = std::make_shared<LastWords>(words);
  if (about.is_endpoints() || about.toll == Toll::attempt_if_well) judgement.behind_since = now;
  if (!part.speaks_for_call) return;
  outage_.failed(std::move(words), call.began == Time{} ? now : call.began);
  judgement.stops(outage_.over(now));
}

// When a part that a fault of its endpoint met is tried again.
Time Verdict::again_at(const Case& part, const protocol::Reply& reply, Time not_before, Time now,
                       Judgement& judgement) const {
  if (!went_down(reply)) return not_before;
  PartTally& tally = judgement.tally;
  ++tally.losses;
  if (!part.last && (!part.suspected || !part.few_left)) return not_before;
  const Time at = std::max(not_before, now + probe_pause(tally.probes++));
  if (tally.probes >= probes_max && !has_patience_)
    judgement.stops(StateChange{JobState::paused, JobReason::endpoint,
                                fmt::format("{} has failed {} times at one of the last items: {}",
                                            outage_.where(), tally.probes, part.described)});
  return at;
}

} // namespace gristmill::supervisor
