// What the jobs' rooms tell COORDINATOR: calls that they offer and take back, what is durable, and
// that a job opens, closes, holds or goes on.
#include "actors/coordinator/coordinator.hpp"
#include "protocol/rules/served.hpp"

#include "actors/kit/defaults.hpp"

#include <algorithm>

namespace gristmill::coordinator {

using namespace protocol;

namespace {
// A frame's lists are bounded; what may be longer goes in pieces.
constexpr std::size_t list_piece = 8'192;

// A greeted worker hears of nothing before its Welcome: what it is to stop stands there.
void stop_at_welcome(Session& session, CallId call, AttemptId attempt) {
  if (session.state != SessionState::greeted) return;
  if (attempt) session.welcome.drop_attempts.push_back(attempt);
  std::vector<CallId>& kept = session.welcome.keep_held;
  const Assigned* stopped = session.find(call);
  if (std::erase(kept, call) == 0 || stopped == nullptr) return;
  // The worker keeps the jobs of calls that stay, and no others.
  const JobId job = stopped->job;
  const auto of_job = [&](CallId id) {
    const Assigned* other = session.find(id);
    return other != nullptr && other->job == job;
  };
  if (std::none_of(kept.begin(), kept.end(), of_job)) session.close(job);
}
} // namespace

Effects Coordinator::offered(JobId id, std::vector<OfferedCall> calls, Time now) {
  Effects effects;
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return effects;
  to_ask_.insert(id);
  for (OfferedCall& call : calls) {
    Job& asked = job->second;
    asked.asked_calls -= std::min(asked.asked_calls, 1u);
    asked.asked_bytes -= static_cast<std::int64_t>(call.bytes());
    if (std::string why = why_never_served(asked, call.planned); !why.empty()) {
      ReportedOutcome unserved;
      unserved.outcome.call = call.planned.call;
      unserved.outcome.parts = call.planned.parts;
      unserved.outcome.cls = OutcomeClass::bad_line;
      unserved.outcome.code = "model_not_served";
      unserved.outcome.message = std::move(why);
      effects.jobs[id].outcomes.push_back(std::move(unserved));
    } else if (asked.held) {
      effects.jobs[id].returned.push_back(
          {call.planned.parts.front().item, call.planned.call, false, false, false});
    } else {
      queue_.push(id, std::move(call));
    }
  }
  dispatch(now, effects);
  return effects;
}

Effects Coordinator::withdrawn(JobId job, const std::vector<CallId>& calls, Time now) {
  Effects effects;
  std::map<SessionId, Cancel> cancels;
  to_ask_.insert(job);
  for (const CallId call : calls) {
    for (const auto& [id, session] : roster_.sessions()) {
      const Assigned* assigned = session->find(call);
      if (assigned == nullptr || assigned->given_up) continue;
      cancels[id].calls.push_back(call);
      stop_at_welcome(*session, call, assigned->attempt);
      // A permitted call ends by the worker's word; a held one is simply gone.
      if (assigned->attempt)
        session->withdraw(call);
      else
        session->take(call);
      break;
    }
    queue_.remove(job, call);
  }
  for (auto& [id, cancel] : cancels) send_cancel(*roster_.find(id), cancel, now, effects);
  dispatch(now, effects);
  return effects;
}

Effects Coordinator::recorded(SessionId id, const std::vector<AttemptId>& attempts, Time now) {
  Effects effects;
  Session* session = roster_.find(id);
  if (session == nullptr) return effects;
  for (std::size_t from = 0; from < attempts.size(); from += list_piece) {
    const auto begin = attempts.begin() + static_cast<std::ptrdiff_t>(from);
    const auto count = std::min(list_piece, attempts.size() - from);
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    const std::uint64_t before = session->seq;
    send(*session, Recorded{{begin, end}}, now, effects);
    if (session->seq != before)
      std::for_each(begin, end, [&](AttemptId attempt) { session->told_recorded(attempt); });
  }
  return effects;
}

Effects Coordinator::job_opened(JobId id, const JobSpec& spec, std::vector<EndpointId>& endpoints,
                                Time now, const EarlierLives& earlier) {
  Effects effects;
  Job job;
  job.spec = json_for_workers(spec);
  job.batch_size = spec.policy.batch_size;
  job.hedges = spec.policy.hedge_percent > 0;
  job.endpoints = endpoints_of(spec, effects);
  if (!spec.endpoints.empty())
    for (const EndpointEntry& own : job.endpoints) endpoints.push_back(own.id);
  job.model = model_of_all(spec);
  job.own_endpoints = !spec.endpoints.empty();
  job.share = own_share(spec);
  job.call_most = std::chrono::milliseconds{spec.policy.timeout_ms} +
                  std::chrono::milliseconds{spec.policy.connect_timeout_ms} + defaults::call_margin;
  job.has_budget = bool{spec.limits.budget_usd};
  job.earlier_mark = earlier.mark;
  job.earlier_nano_usd = earlier.assumed_nano_usd;
  job.pace = Pace{now};
  queue_.open(id, job.share);
  jobs_[id] = std::move(job);
  to_ask_.insert(id);
  if (!grace_) say_grace_over(id, effects);
  dispatch(now, effects);
  return effects;
}

Effects Coordinator::job_closed(JobId id, Time now) {
  Effects effects;
  if (const auto job = jobs_.find(id); job != jobs_.end()) {
    const Job closed = std::move(job->second);
    jobs_.erase(job);
    drop_endpoints(closed, effects);
  }
  queue_.close(id);
  for (const auto& [session_id, session] : roster_.sessions()) {
    Cancel cancel;
    for (const auto& [call, assigned] : session->calls())
      if (assigned.job == id) cancel.calls.push_back(call);
    std::sort(cancel.calls.begin(), cancel.calls.end());
    for (const CallId call : cancel.calls) {
      const Assigned assigned = session->take(call);
      stop_at_welcome(*session, call, assigned.attempt);
      if (!assigned.attempt) continue;
      session->drop(assigned.attempt);
      if (assigned.given_up) continue;
      effects.ended.push_back({Ended::How::lost, assigned.attempt, {}, {}, -1});
      charge_lost(assigned, effects);
    }
    session->jobs_met.erase(id);
    send_cancel(*session, cancel, now, effects);
    if (session->close(id)) send(*session, Recorded{{}, {}, {id}}, now, effects);
  }
  dispatch(now, effects);
  return effects;
}

Effects Coordinator::job_failed(JobId id) {
  Effects effects;
  for (const auto& [session_id, session] : roster_.sessions())
    if (!session->peer.empty() && session->jobs_met.contains(id))
      refuse(session->peer, RefusedCode::resync, to_string(id) + " has failed", effects);
  return effects;
}

Effects Coordinator::job_held(JobId id, Time now) {
  Effects effects;
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return effects;
  job->second.held = true;
  const Share share = queue_.share(id);
  for (const OfferedCall& call : queue_.close(id))
    effects.jobs[id].returned.push_back(
        {call.planned.parts.front().item, call.planned.call, false, false, false});
  queue_.open(id, share);
  for (const auto& [session_id, session] : roster_.sessions()) {
    Cancel cancel;
    for (const auto& [call, assigned] : session->calls())
      if (assigned.job == id && !assigned.attempt) cancel.calls.push_back(call);
    std::sort(cancel.calls.begin(), cancel.calls.end());
    for (const CallId call : cancel.calls) {
      stop_at_welcome(*session, call, AttemptId{});
      effects.jobs[id].returned.push_back({session->take(call).item, call, false, false, false});
    }
    send_cancel(*session, cancel, now, effects);
  }
  return effects;
}

Effects Coordinator::job_released(JobId id, Time now) {
  Effects effects;
  if (const auto job = jobs_.find(id); job != jobs_.end()) job->second.held = false;
  to_ask_.insert(id);
  dispatch(now, effects);
  return effects;
}

void Coordinator::send_cancel(Session& session, const Cancel& cancel, Time now, Effects& effects) {
  for (std::size_t from = 0; from < cancel.calls.size(); from += list_piece) {
    const auto begin = cancel.calls.begin() + static_cast<std::ptrdiff_t>(from);
    const auto count = std::min(list_piece, cancel.calls.size() - from);
    send(session, Cancel{{begin, begin + static_cast<std::ptrdiff_t>(count)}}, now, effects);
  }
}

} // namespace gristmill::coordinator
