// Who gets how much of what is scarce. Permits follow the shares where they are given (TURNS of
// RATE LIMITER), and calls go to the workers in fair turns (FAIR QUEUE); here it is seen to that a
// job has calls with every worker when its turn comes, and that one with a deadline gets what it
// needs.
#include "actors/coordinator/coordinator.hpp"

#include "protocol/limits.hpp"

#include <algorithm>

namespace gristmill::coordinator {

// Of each job, whatever the others hold: what a worker begins in about half a second.
std::uint32_t Coordinator::hand_of_job(const Session& session) const {
  return std::max(4u, ahead_of(session) / 2);
}

// Whoever came first may have filled the worker with calls that must wait.
std::set<JobId> Coordinator::short_of_calls(const Session& session) const {
  std::set<JobId> jobs;
  if (jobs_.size() < 2 || session.held() >= limits::held_calls_max) return jobs;
  const std::uint32_t few = hand_of_job(session) / 2;
  for (const auto& [id, job] : jobs_)
    if (!job.held && queue_.size(id) > 0 && session.held_of(id) <= few) jobs.insert(id);
  return jobs;
}

// Whether an endpoint may serve both.
bool Coordinator::compete(const Job& a, const Job& b) const {
  if (a.own_endpoints != b.own_endpoints) return true; // one URL may be meant by both
  if (!a.own_endpoints) return a.model.empty() || b.model.empty() || a.model == b.model;
  return std::any_of(a.endpoints.begin(), a.endpoints.end(), [&](const auto& mine) {
    return std::any_of(b.endpoints.begin(), b.endpoints.end(),
                       [&](const auto& other) { return other.id == mine.id; });
  });
}

Effects Coordinator::mind_deadline(JobId id, double items_left, double seconds_left) {
  Effects effects;
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return effects;
  const Job& job = found->second;
  const double rate = job.pace.rate();
  DeadlineFacts facts{job.share, seconds_left, items_left, rate, rate, 0, false};
  for (const auto& [other_id, other] : jobs_) {
    if (other_id == id || other.held || !compete(job, other)) continue;
    facts.rate_all += other.pace.rate();
    if (queue_.size(other_id) == 0) continue;
    const std::uint32_t priority = queue_.share(other_id).priority;
    if (priority > job.share.priority) facts.behind_others = true;
    // Its own weight, not what a deadline makes of it, or two of them would outbid each other for
    // ever.
    if (priority == job.share.priority) facts.weight_others += other.share.weight;
  }
  const Share share = urgent(facts);
  if (share == queue_.share(id)) return effects;
  queue_.set_share(id, share);
  effects.shares_changed.emplace_back(id, share);
  return effects;
}

} // namespace gristmill::coordinator
