// What workers say of their calls: how they ended, that they were never begun. Only what they were
// given counts, and what they hold has an end here too.
#include "actors/coordinator/coordinator.hpp"
#include "actors/coordinator/proof.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>

namespace gristmill::coordinator {

using namespace protocol;

namespace {

Ended ended_of(const Outcome& outcome, const CallCost& cost) {
  Ended ended{
      Ended::How::answered,  outcome.attempt,        outcome.cls,
      outcome.usage,         outcome.retry_after_ms, std::chrono::microseconds{outcome.latency_us},
      outcome.tokens_refused};
  if (cost.known) {
    ended.cost_nano_usd = cost.nano_usd;
  } else {
    ended.cost_nano_usd.reset();
  }
  ended.limits = outcome.limits;
  ended.http_status = outcome.http_status;
  return ended;
}

} // namespace

void Coordinator::handle(Session& session, Outcomes& outcomes, Time now, Effects& effects) {
  std::vector<AttemptId> unwanted;
  std::size_t forged = 0;
  for (Outcome& outcome : outcomes.outcomes) {
    const Assigned* given = session.find(outcome.call);
    if (given != nullptr && is_outcome_of(outcome, *given)) {
      ++session.completed;
      if (info(outcome.cls).shows_it_well() && outcome.http_status != 0)
        progressed(session, Trial::until_it_serves, now);
      take_answer(session, outcome, session.take(outcome.call), unwanted, now, effects);
    } else if (session.take_dropped(outcome.attempt)) {
      unwanted.push_back(outcome.attempt);
    } else if (mutated("outcome_of_another_session")) {
      Assigned believed;
      believed.job = outcome.parts.front().job;
      take_answer(session, outcome, believed, unwanted, now, effects);
    } else {
      ++forged;
    }
  }
  if (forged < outcomes.outcomes.size()) progressed(session, Trial::until_it_answers, now);
  if (!unwanted.empty()) send(session, Recorded{std::move(unwanted)}, now, effects);
  if (forged > 0)
    strike(session, fmt::format("{} outcomes of calls that it was not given", forged), now,
           effects);
}

void Coordinator::take_answer(Session& session, Outcome& outcome, const Assigned& given,
                              std::vector<AttemptId>& unwanted, Time now, Effects& effects) {
  if (bring_within_reason(outcome, given, now))
    effects.events.push_back({"usage.above_bound",
                              {{"name", session.name},
                               {"call", to_string(outcome.attempt)},
                               {"tokens", std::to_string(outcome.usage.total())},
                               {"bound", std::to_string(given.token_bound)}},
                              true});
  const CallCost cost = cost_of(outcome, given);
  // Of one that was given up the charge is kept, and its slot is free already.
  if (!given.given_up) effects.ended.push_back(ended_of(outcome, cost));
  const JobId job = given.job;
  if (!jobs_.contains(job)) {
    unwanted.push_back(outcome.attempt);
    return;
  }
  session.answered(outcome.attempt, {outcome.call, given.job, given.item});
  note_end(outcome, job, now, effects);
  std::string url = url_of(outcome.endpoint);
  const std::size_t alternatives =
      outcome.cls == OutcomeClass::config || outcome.cls == OutcomeClass::quota
          ? alternatives_of(job, outcome.endpoint)
          : 0;
  effects.jobs[job].outcomes.push_back({session.id, std::move(outcome), std::move(url),
                                        cost.nano_usd, alternatives, given.since,
                                        given.note.doubt});
}

void Coordinator::handle(Session& session, const Returned& returned, Time now, Effects& effects) {
  std::size_t forged = 0;
  Cancel not_held; // given up before it came back
  for (const auto& entry : returned.calls) {
    const Assigned* known = session.find(entry.call);
    if (known == nullptr ||
        (known->attempt != entry.attempt && !mutated("returned_of_another_attempt"))) {
      // A call may have been withdrawn meanwhile; a permit comes back once.
      forged += entry.attempt && !session.take_dropped(entry.attempt);
      continue;
    }
    if (known->given_up) {
      session.take(entry.call);
      if (returned.keeps_calls) not_held.calls.push_back(entry.call);
      continue;
    }
    if (entry.attempt) {
      const auto how = returned.too_late ? Ended::How::too_late : Ended::How::unstarted;
      effects.ended.push_back({how, entry.attempt, {}, {}, -1});
    }
    if (known->withdrawn) {
      session.take(entry.call);
      if (returned.keeps_calls) not_held.calls.push_back(entry.call);
    } else if (returned.keeps_calls) {
      session.unpermit(entry.call);
    } else {
      const Assigned assigned = session.take(entry.call);
      effects.jobs[assigned.job].returned.push_back(
          {assigned.item, entry.call, false, false, false});
    }
  }
  progressed(session, Trial::until_it_asks, now);
  send_cancel(session, not_held, now, effects);
  if (forged > 0)
    strike(session, fmt::format("{} permits back that it was not given", forged), now, effects);
}

// Its worker must say by then how the call ended: the job's timeouts do not end here, but a worker
// that outlives them by so much will not keep them.
void Coordinator::expect_end(Session& session, CallId call, Time now) {
  const Assigned* assigned = session.find(call);
  if (assigned == nullptr) return;
  const auto job = jobs_.find(assigned->job);
  const Duration most = job == jobs_.end() ? Duration::zero() : job->second.call_most;
  const Time since = assigned->since == Time{} ? now : assigned->since;
  session.begun(call, since, mutated("call_without_end") ? never : now + most);
}

// It did what ends such a trial.
void Coordinator::progressed(Session& session, Trial ended, Time now) {
  session.progress_at = now;
  if (session.trial > ended) return;
  session.trial = Trial::none;
  session.rests_until = {};
}

// What it holds goes to others. Returns how many calls those are.
std::size_t Coordinator::let_rest(Session& session, Trial trial, Cancel& cancel, Duration rest,
                                  Time now, Effects& effects) {
  std::vector<CallId> held;
  for (const auto& [call, assigned] : session.calls())
    if (!assigned.attempt) held.push_back(call);
  std::sort(held.begin(), held.end());
  for (const CallId call : held) {
    const Released released{call, session.take(call)};
    give_up(released, {released.assigned.item, call, false, false, false}, effects);
    cancel.calls.push_back(call);
  }
  session.rests_until = now + rest;
  session.trial = std::max(session.trial, trial);
  return held.size();
}

// Calls that a live worker does not end, or does not begin, go to others.
void Coordinator::watch_calls(Session& session, Time now, Effects& effects) {
  if (session.state == SessionState::greeted) return; // it says nothing before its Welcome
  Cancel cancel;
  for (const CallId call : session.past_deadline(now)) {
    const Released released{call, *session.find(call)};
    session.give_up(call);
    give_up(released, {released.assigned.item, call, true, false, false}, effects);
    cancel.calls.push_back(call);
  }
  if (!cancel.calls.empty()) {
    effects.events.push_back({"worker.overdue",
                              {{"name", session.name},
                               {"calls", std::to_string(cancel.calls.size())},
                               {"why", "their timeouts are over and it has not said how they "
                                       "ended; they are made elsewhere"}},
                              true});
    if (!mutated("hung_is_fed"))
      let_rest(session, Trial::until_it_answers, cancel, defaults::held_idle, now, effects);
  } else if (is_idle(session, now) && !mutated("held_without_end")) {
    const std::size_t held =
        let_rest(session, Trial::until_it_asks, cancel, defaults::held_idle, now, effects);
    effects.events.push_back({"worker.idle",
                              {{"name", session.name},
                               {"calls", std::to_string(held)},
                               {"why", "it has room and asks for none of the calls that it holds; "
                                       "they go elsewhere"}},
                              true});
  }
  send_cancel(session, cancel, now, effects);
}

// An endpoint of its own is away, and its calls only wait for it: those that others can make
// elsewhere go there. One of them at a time finds out when it is back.
void Coordinator::share_elsewhere(Session& session, const std::vector<Waiting>& waits, Time now,
                                  Effects& effects) {
  if (session.on_trial()) return;
  const auto away = std::find_if(waits.begin(), waits.end(), [&](const Waiting& waiting) {
    const auto& [kind, until] = std::tie(waiting.reason.kind, waiting.reason.until);
    const bool rests = (kind == WaitKind::cooldown || kind == WaitKind::quota) &&
                       until - now >= defaults::shared_elsewhere_least;
    return (kind == WaitKind::breaker || rests) && others_serve(session, waiting.job);
  });
  if (away == waits.end()) return;
  Cancel cancel;
  const std::size_t held =
      let_rest(session, Trial::until_it_serves, cancel, Duration::zero(), now, effects);
  effects.events.push_back({"worker.relieved",
                            {{"name", session.name},
                             {"calls", std::to_string(held)},
                             {"endpoint", away->reason.endpoint},
                             {"why", std::string{words_of(away->reason)} +
                                         "; the calls that it holds go to other workers, "
                                         "and it tries one at a time"}}});
  send_cancel(session, cancel, now, effects);
}

// Whether all that it announces is of one model, which another worker reaches elsewhere.
bool Coordinator::others_serve(const Session& session, JobId id) const {
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || job->second.own_endpoints || session.endpoints.empty()) return false;
  const auto model_of = [this](EndpointId endpoint) {
    const auto it = endpoints_.find(endpoint);
    return it == endpoints_.end() ? std::string{} : it->second.model;
  };
  const std::string model = model_of(session.endpoints.front());
  const auto serves = [&](EndpointId endpoint) { return model_of(endpoint) == model; };
  const auto is_own = [&](EndpointId endpoint) {
    return std::find(session.endpoints.begin(), session.endpoints.end(), endpoint) !=
           session.endpoints.end();
  };
  if (!std::all_of(session.endpoints.begin(), session.endpoints.end(), serves)) return false;
  const auto& sessions = roster_.sessions();
  return std::any_of(sessions.begin(), sessions.end(), [&](const auto& entry) {
    const Session& other = *entry.second;
    return may_be_fed(other) && !other.on_trial() &&
           std::any_of(other.endpoints.begin(), other.endpoints.end(),
                       [&](EndpointId e) { return serves(e) && !is_own(e); });
  });
}

// It holds calls that it could begin, and does nothing with them.
bool Coordinator::is_idle(const Session& session, Time now) const {
  if (session.state != SessionState::active || session.held() == 0) return false;
  const std::uint32_t busy = session.in_flight() - session.overdue();
  return busy < std::max(session.capacity.calls, 1u) &&
         now - session.progress_at >= defaults::held_idle;
}

// A session that said three times what cannot be true is over, and its process is not heard for a
// while: there is a fault in it, or somebody in its place.
void Coordinator::strike(Session& session, std::string what, Time now, Effects& effects) {
  effects.events.push_back({"worker.forged", {{"name", session.name}, {"what", what}}, true});
  if (!is_struck_out(session.strikes, now)) return;
  const PeerId peer = session.peer;
  std::erase_if(unheard_, [now](const auto& other) { return other.second <= now; });
  unheard_[session.process] = now + defaults::strike_window;
  lose(session.id, Departure::lost, "it said what cannot be true, again and again", effects);
  refuse(peer, RefusedCode::no_session, "this worker said what cannot be true: " + what, effects);
}

// Why a process that has no session gets none now.
std::string Coordinator::why_no_room(const std::string& user, Nonce process, Time now) const {
  if (const auto it = unheard_.find(process); it != unheard_.end() && now < it->second)
    return fmt::format("this worker said what cannot be true; it is heard again in {} s",
                       1 + (it->second - now) / std::chrono::seconds{1});
  if (roster_.size() >= limits::sessions_max)
    return fmt::format("{} workers are the most; end some, or start another coordinator",
                       limits::sessions_max);
  if (roster_.sessions_of(user) >= limits::sessions_per_key_max)
    return fmt::format("{} workers with one key are the most; give others a key of their own "
                       "(gristmill keygen)",
                       limits::sessions_per_key_max);
  return {};
}

// The journal holds no single permit. What it does hold: whose session was open when we ended, and
// up to which item of a job blocks were given out. An attempt has one owner.
bool Coordinator::is_of_earlier_life(const Claim& claim, Nonce process) {
  if (claim.parts.size() != 1 || !earlier_.contains(process)) return false;
  if (claim.attempt.epoch() == 0 || claim.attempt.epoch() >= options_.epoch.value) return false;
  const auto job = jobs_.find(claim.parts.front().job);
  if (job == jobs_.end() || claim.parts.front().item >= job->second.earlier_mark) return false;
  if (const auto it = earlier_attempts_.find(claim.attempt); it != earlier_attempts_.end())
    return it->second == process;
  return earlier_attempts_.size() < limits::departed_calls_max &&
         earlier_attempts_.emplace(claim.attempt, process).second;
}

} // namespace gristmill::coordinator
