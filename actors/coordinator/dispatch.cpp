// Batch forming: how many calls go to which worker now. A worker is kept busy for about a second
// ahead of the calls that it can have in flight; as the jobs run out the share ahead shrinks, so
// that no worker holds what another could start.
#include "actors/coordinator/coordinator.hpp"

#include "protocol/limits.hpp"

#include <algorithm>

namespace gristmill::coordinator {

bool Coordinator::may_be_fed(const Session& session) const {
  return session.state == SessionState::active && !session.draining && session.capacity.calls > 0;
}

std::uint32_t Coordinator::ahead_of(const Session& session) const {
  const double a_second = session.rate() * 1.0;
  const auto most = limits::held_calls_max;
  const auto least = std::clamp<std::uint32_t>(session.capacity.calls / 4, 1, most);
  const auto busy = static_cast<std::uint32_t>(std::min<double>(a_second, most));
  // The rest of the work is shared: nobody holds more than its part of what is left.
  const auto share = queue_.size() / (2 * std::max<std::size_t>(roster_.size(), 1)) + 1;
  return static_cast<std::uint32_t>(std::min<std::size_t>(std::max(least, busy), share));
}

void Coordinator::dispatch(Time now, Effects& effects) {
  // The emptiest worker is served first, and one that may do nothing with a call gets what the
  // others leave.
  std::vector<Session*> hungry;
  for (const auto& [id, session] : roster_.sessions())
    if (may_be_fed(*session)) hungry.push_back(session.get());
  const auto rank = [](const Session* s) {
    const double fill = static_cast<double>(s->held() + s->in_flight()) / s->capacity.calls;
    return std::pair{s->on_trial(), fill};
  };
  std::stable_sort(hungry.begin(), hungry.end(),
                   [&](const Session* a, const Session* b) { return rank(a) < rank(b); });
  for (Session* session : hungry) feed(*session, now, effects);
  ask_supervisors(effects);
}

// A call waits here, not with a worker that cannot make it: whoever can may come at any time.
bool Coordinator::reaches(const Session& session, JobId id, const std::string& model) const {
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || job->second.own_endpoints) return true;
  std::string wanted = model.empty() ? job->second.model : model;
  if (wanted.empty()) {
    const std::set<std::string> models = served();
    if (models.size() != 1) return false;
    wanted = *models.begin();
  }
  const auto serves = [&](EndpointId endpoint) {
    const auto it = endpoints_.find(endpoint);
    return it != endpoints_.end() && it->second.model == wanted;
  };
  return std::any_of(pooled_.begin(), pooled_.end(), serves) ||
         std::any_of(session.endpoints.begin(), session.endpoints.end(), serves);
}

void Coordinator::feed(Session& session, Time now, Effects& effects) {
  if (now < session.rests_until) return;
  const std::uint32_t ahead = ahead_of(session);
  const std::uint32_t target =
      session.on_trial() ? 1 : std::min(session.capacity.calls + ahead, limits::worker_calls_max);
  const std::uint32_t has =
      session.held() + session.in_flight() - (session.on_trial() ? session.overdue() : 0);
  std::uint32_t deficit = target > has ? target - has : 0;
  // Small gaps are left to grow a little, unless the worker has nothing in hand.
  if (session.held() > 0 && deficit < std::max(1u, ahead / 4)) deficit = 0;
  const std::set<JobId> short_of = short_of_calls(session);
  if (deficit == 0 && (short_of.empty() || session.on_trial())) return;
  const std::uint32_t hand = hand_of_job(session);
  const auto reached = [&](JobId job, const std::string& model) {
    return (deficit > 0 || (short_of.contains(job) && session.held_of(job) < hand)) &&
           reaches(session, job, model);
  };
  bool full = false;
  while (!full && !queue_.empty()) {
    protocol::Batch batch;
    std::size_t bytes = 0;
    while (batch.calls.size() < limits::batch_calls_max) {
      const OfferedCall* next = queue_.front(reached);
      if (next == nullptr || (bytes > 0 && bytes + next->bytes() > limits::frame_target_bytes))
        break;
      if ((session.held() > 0 && session.held_bytes() + next->bytes() > session.capacity.bytes) ||
          session.unheard_bytes() > limits::unheard_bytes_max) {
        full = true;
        break;
      }
      const auto job = jobs_.find(next->planned.parts.front().job);
      if (job != jobs_.end() && batch.calls.size() >= job->second.batch_size) break;
      OfferedCall call = *queue_.pop(reached);
      const PartId part = call.planned.parts.front();
      to_ask_.insert(part.job);
      if (job == jobs_.end()) continue;
      if (session.open(part.job, job->second.spec.size())) {
        if (auto closed = session.close_idle_jobs(); !closed.empty())
          send(session, protocol::Recorded{{}, {}, std::move(closed)}, now, effects);
        send(session, protocol::JobOpened{part.job, job->second.spec, job->second.endpoints}, now,
             effects);
      }
      bytes += call.bytes();
      if (session.held() == 0) session.progress_at = std::max(session.progress_at, now);
      session.give(call.planned.call,
                   {part.job, part.item, call.token_bound, call.bytes(), AttemptId{}, EndpointId{},
                    call.planned.model, call.output_bound, std::move(call.failed_at), call.prefix});
      batch.calls.push_back(std::move(call.planned));
      if (deficit > 0) --deficit;
    }
    if (batch.calls.empty()) return;
    send(session, std::move(batch), now, effects);
  }
}

void Coordinator::ask_supervisors(Effects& effects) {
  std::size_t hands = 0;
  for (const auto& [id, session] : roster_.sessions())
    if (may_be_fed(*session)) hands += session->capacity.calls + ahead_of(*session);
  const std::size_t target = std::clamp<std::size_t>(2 * hands, 64, limits::offer_calls_max);
  // Of thousands of jobs most wait with as many calls as they were asked for: they are looked at
  // again when noticeably more are wanted of all.
  if (4 * target > 5 * asked_for_) {
    for (auto& [id, job] : jobs_) ask_supervisor(id, job, target, effects);
    asked_for_ = target;
  } else {
    for (const JobId id : to_ask_)
      if (const auto job = jobs_.find(id); job != jobs_.end())
        ask_supervisor(id, job->second, target, effects);
    asked_for_ = std::min(asked_for_, target);
  }
  to_ask_.clear();
}

void Coordinator::ask_supervisor(JobId id, Job& job, std::size_t target, Effects& effects) {
  if (job.held) return;
  // Either credit may run out first: calls where items are small, bytes where they are large.
  constexpr auto most_bytes = static_cast<std::int64_t>(limits::offer_bytes_max);
  const std::size_t has = queue_.size(id) + job.asked_calls;
  const std::int64_t has_bytes = static_cast<std::int64_t>(queue_.bytes(id)) + job.asked_bytes;
  if (has + target / 4 > target && has_bytes + most_bytes / 4 > most_bytes) return;
  const auto calls = static_cast<std::uint32_t>(target > has ? target - has : 0);
  const std::int64_t bytes = std::max<std::int64_t>(most_bytes - has_bytes, 0);
  if (calls == 0 && bytes == 0) return;
  JobNews& news = effects.jobs[id];
  news.want_calls += calls;
  news.want_bytes += static_cast<std::uint64_t>(bytes);
  job.asked_calls += calls;
  job.asked_bytes += bytes;
}

} // namespace gristmill::coordinator
