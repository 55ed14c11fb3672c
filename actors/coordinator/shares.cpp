// Who gets how much of what is scarce. Calls are sent ahead in fair turns (FAIR QUEUE), but what is
// scarce are permits: the calls of a worker's question are put in turn here, by the parts of their
// endpoints' minutes that their jobs were given, so that it does not matter who came first. What
// must wait for a budget keeps few calls with a worker while other jobs have some.
#include "actors/coordinator/coordinator.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace gristmill::coordinator {

void Coordinator::served(JobId id, double cost) {
  turns_.served(id, cost);
  if (const auto job = jobs_.find(id); job != jobs_.end()) {
    job->second.cost = cost;
    ++job->second.calls;
  }
}

// A question says how many calls the worker could start, and which it would: jobs of the same worker
// whose turn it is rather, and which were told to wait, put theirs before them.
void Coordinator::add_earlier(const Session& session,
                              std::map<JobId, std::vector<AcquireCall>>& by_job, std::size_t most,
                              Time now) {
  std::vector<JobId> asking;
  for (const auto& [id, calls] : by_job) asking.push_back(id);
  for (const auto& [id, job] : jobs_) {
    if (job.held || by_job.contains(id) || session.held_of(id) == 0) continue;
    if (fresh_reason(job, nullptr, now) == nullptr) continue;
    turns_.joins(id);
    if (std::none_of(asking.begin(), asking.end(),
                     [&, job_id = id](JobId other) { return turns_.before(job_id, other); }))
      continue;
    std::vector<AcquireCall>& calls = by_job[id];
    for (const auto& [call, assigned] : session.calls())
      if (assigned.job == id && !assigned.attempt)
        calls.push_back({call, id, assigned.item, assigned.token_bound, assigned.model});
    std::sort(calls.begin(), calls.end(),
              [](const auto& a, const auto& b) { return a.call < b.call; });
    if (calls.size() > most) calls.resize(most);
  }
}

// The calls as the permits should go, were each to take what its job's last one took. What is
// returned was asked for and has to let calls of other jobs go first.
std::vector<CallId> Coordinator::in_turn(Session& session, std::vector<AcquireCall>& calls,
                                         Time now) {
  if (jobs_.size() < 2 || calls.empty()) return {};
  const std::size_t most = calls.size();
  std::map<JobId, std::vector<AcquireCall>> by_job;
  std::set<CallId> asked;
  for (AcquireCall& call : calls) {
    asked.insert(call.call);
    by_job[call.job].push_back(std::move(call));
  }
  calls.clear();
  for (const auto& [id, own] : by_job) turns_.joins(id);
  add_earlier(session, by_job, most, now);

  struct Line {
    JobId job;
    double cost;
    std::vector<AcquireCall>* calls;
    std::size_t next = 0;
  };
  std::vector<Line> lines;
  for (auto& [id, waiting] : by_job) {
    const auto job = jobs_.find(id);
    lines.push_back({id, job == jobs_.end() ? 1e-4 : job->second.cost, &waiting});
  }
  FairShare plan = turns_;
  const auto later = [&plan](const Line& a, const Line& b) { return plan.before(b.job, a.job); };
  std::make_heap(lines.begin(), lines.end(), later);
  while (calls.size() < most) {
    std::pop_heap(lines.begin(), lines.end(), later);
    Line& line = lines.back();
    asked.erase((*line.calls)[line.next].call);
    calls.push_back(std::move((*line.calls)[line.next]));
    plan.served(line.job, line.cost);
    if (++line.next == line.calls->size())
      lines.pop_back();
    else
      std::push_heap(lines.begin(), lines.end(), later);
  }
  return {asked.begin(), asked.end()};
}

void Coordinator::let_wait(Session& session, Nonce nonce, std::vector<CallId> calls, Time now,
                           Effects& effects) {
  constexpr auto again = std::chrono::milliseconds{20};
  for (const CallId call : calls)
    if (const Assigned* assigned = session.find(call))
      if (const auto job = jobs_.find(assigned->job); job != jobs_.end())
        job->second.yields_until = now + std::chrono::seconds{1};
  send(session,
       protocol::Wait{nonce, std::move(calls), static_cast<std::uint32_t>(again.count()),
                      "it is another job's turn"},
       now, effects);
}

std::size_t Coordinator::jobs_with_calls() const {
  if (jobs_.size() < 2) return jobs_.size();
  return static_cast<std::size_t>(
      std::count_if(jobs_.begin(), jobs_.end(),
                    [&](const auto& job) { return queue_.size(job.first) > 0; }));
}

// A quarter of a worker's room for all jobs that wait, but a tenth of a second's calls for each.
std::uint32_t Coordinator::waiting_most(const Session& session, std::size_t jobs) const {
  const std::size_t room = session.capacity.calls + ahead_of(session);
  return static_cast<std::uint32_t>(
      std::max({std::size_t{4}, room / (4 * std::max<std::size_t>(jobs, 1)),
                static_cast<std::size_t>(session.rate() / 10)}));
}

// A job that came first may have filled the worker: what it holds far beyond that goes back.
void Coordinator::leave_room(Session& session, Time now, Effects& effects) {
  const std::size_t jobs = jobs_with_calls();
  if (jobs < 2) return;
  const std::uint32_t most = waiting_most(session, jobs);
  protocol::Cancel cancel;
  for (const auto& [id, job] : jobs_) {
    if (session.held_of(id) <= 2 * most || fresh_reason(job, nullptr, now) == nullptr) continue;
    std::vector<CallId> held;
    for (const auto& [call, assigned] : session.calls())
      if (assigned.job == id && !assigned.attempt) held.push_back(call);
    std::sort(held.begin(), held.end());
    for (std::size_t n = most; n < held.size(); ++n) {
      effects.jobs[id].returned.push_back(
          {session.take(held[n]).item, held[n], false, false, false});
      cancel.calls.push_back(held[n]);
    }
  }
  if (!cancel.calls.empty()) send_cancel(session, cancel, now, effects);
}

void Coordinator::measure_paces(Time now) {
  constexpr double smoothing_s = 10;
  for (auto& [id, job] : jobs_) {
    const double seconds = to_seconds(now - job.pace.at), age = to_seconds(now - job.pace.since);
    if (seconds < 0.25) continue;
    const double current = static_cast<double>(job.calls - job.pace.calls) / seconds;
    // Of a young job the mean of its life, once it has lived a second.
    if (age < smoothing_s)
      job.pace.rate = age < 1 ? 0 : static_cast<double>(job.calls) / age;
    else
      job.pace.rate += (1 - std::exp(-seconds / smoothing_s)) * (current - job.pace.rate);
    job.pace.calls = job.calls;
    job.pace.at = now;
  }
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

void Coordinator::mind_deadline(JobId id, double items_left, double seconds_left) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  const Job& job = found->second;
  DeadlineFacts facts{job.share, seconds_left, items_left, job.pace.rate, job.pace.rate, 0, false};
  for (const auto& [other_id, other] : jobs_) {
    if (other_id == id || other.held || !compete(job, other)) continue;
    facts.rate_all += other.pace.rate;
    if (queue_.size(other_id) == 0) continue;
    const Share& share = turns_.of(other_id);
    if (share.priority > job.share.priority) facts.behind_others = true;
    if (share.priority == job.share.priority) facts.weight_others += share.weight;
  }
  const Share share = urgent(facts);
  if (share == turns_.of(id)) return;
  turns_.set(id, share);
  queue_.set_share(id, share);
}

} // namespace gristmill::coordinator
