// What COORDINATOR says to somebody who asks why a job or one of its calls waits: who is there, who
// has room, whose turn it is, and what RATE LIMITER last said to the job's calls.
#include "actors/coordinator/coordinator.hpp"
#include "protocol/rules/served.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

// A refusal is news until the call is asked for again, and a little longer.
constexpr auto asked_again_within = std::chrono::seconds{1};

// A group commit takes some milliseconds; only what takes longer is worth a word.
constexpr auto slow_commit = std::chrono::milliseconds{500};
bool is_soon_over(const WaitReason& reason, Time now) {
  return reason.kind == WaitKind::journal && now < reason.since + slow_commit;
}

WaitReason of_kind(WaitKind kind) {
  WaitReason reason;
  reason.kind = kind;
  return reason;
}

} // namespace

void Coordinator::hear_reason(const Waiting& waiting, Time now) {
  const auto job = jobs_.find(waiting.job);
  if (job == jobs_.end() || !waiting.reason || is_soon_over(waiting.reason, now)) return;
  auto& heard = job->second.heard;
  if (heard.size() >= reasons_max && !heard.contains(waiting.model))
    std::erase_if(heard, [now](const auto& entry) { return entry.second.fresh_until < now; });
  if (heard.size() >= reasons_max && !heard.contains(waiting.model)) return;
  heard[waiting.model] = {waiting.reason,
                          now + std::chrono::milliseconds{waiting.wait_ms} + asked_again_within};
}

// Of these models' reasons the one that ends first.
const WaitReason* Coordinator::fresh_reason(const Job& job, const std::string* model,
                                            Time now) const {
  const WaitReason* first = nullptr;
  for (const auto& [of, heard] : job.heard)
    if (heard.fresh_until >= now && (model == nullptr || of == *model) &&
        (first == nullptr || heard.reason.until < first->until))
      first = &heard.reason;
  return first;
}

bool Coordinator::is_served(const std::string& model) const {
  return std::any_of(endpoints_.begin(), endpoints_.end(), [&](const auto& entry) {
    return model.empty() ? !entry.second.model.empty() : entry.second.model == model;
  });
}

// Whether a worker could begin another call.
bool Coordinator::has_room() const {
  const auto& sessions = roster_.sessions();
  return std::any_of(sessions.begin(), sessions.end(), [&](const auto& entry) {
    const Session& session = *entry.second;
    return may_be_fed(session) && !session.on_trial() &&
           session.held() + session.in_flight() < session.capacity.calls;
  });
}

WaitReason Coordinator::why_waiting(JobId id, Time now) const {
  const auto found = jobs_.find(id);
  const auto& sessions = roster_.sessions();
  if (found == jobs_.end()) return of_kind(sessions.empty() ? WaitKind::no_worker : WaitKind::none);
  const Job& job = found->second;
  if (std::none_of(sessions.begin(), sessions.end(), [&](const auto& entry) {
        return may_be_fed(*entry.second) && !entry.second->is_in_doubt();
      })) {
    WaitReason nobody = of_kind(WaitKind::no_worker);
    nobody.limit = sessions.size();
    return nobody;
  }
  if (!job.own_endpoints && !is_served(job.model)) {
    WaitReason unserved = of_kind(WaitKind::unserved);
    unserved.because = why_unserved(job.model, served());
    return unserved;
  }
  if (const WaitReason* told = fresh_reason(job, nullptr, now)) return *told;
  for (const std::string& model : queue_.models(id)) {
    if (std::any_of(sessions.begin(), sessions.end(),
                    [&](const auto& entry) { return reaches(*entry.second, id, model); }))
      continue;
    WaitReason unserved = of_kind(WaitKind::unserved);
    unserved.because = why_item_unserved(model, served());
    return unserved;
  }
  if (queue_.size(id) > 0 && !has_room()) {
    WaitReason full = of_kind(WaitKind::workers_full);
    for (const auto& [session_id, session] : sessions)
      if (may_be_fed(*session)) full.limit += session->capacity.calls;
    const auto others = static_cast<std::uint64_t>(
        std::count_if(jobs_.begin(), jobs_.end(), [&](const auto& other) {
          return other.first != id && queue_.size(other.first) > 0;
        }));
    if (others == 0) return full;
    full.kind = WaitKind::turn;
    full.limit = others;
    return full;
  }
  if (grace_ && !options_.expected.empty() && queue_.size(id) == 0 && job.asked_calls > 0) {
    WaitReason claims = of_kind(WaitKind::claims);
    claims.until = grace_ends_;
    return claims;
  }
  return {};
}

WaitReason Coordinator::standing(JobId id, CallId call, Time now) const {
  WaitReason standing;
  for (const auto& [session_id, session] : roster_.sessions()) {
    const Assigned* assigned = session->find(call);
    if (assigned == nullptr) continue;
    if (const auto job = jobs_.find(id); job != jobs_.end() && !assigned->attempt)
      if (const WaitReason* told = fresh_reason(job->second, &assigned->model, now))
        standing = *told;
    standing.worker = session->name;
    if (assigned->given_up) standing.because = "its timeouts are over; it is made elsewhere";
    if (session->state == SessionState::closed || session->state == SessionState::suspect)
      standing.because = session->state == SessionState::closed
                             ? "its connection is closed; the call goes elsewhere if it stays away"
                             : "it is silent; the call goes elsewhere if it stays so";
    if (assigned->attempt) {
      standing.kind = WaitKind::in_flight;
      standing.attempt = assigned->attempt;
      standing.since = assigned->since;
      standing.endpoint = url_of(assigned->endpoint);
    } else if (!standing) {
      const bool full = session->in_flight() >= session->capacity.calls;
      standing.kind = full ? WaitKind::workers_full : WaitKind::held;
      standing.limit = session->capacity.calls;
    }
    return standing;
  }
  standing = why_waiting(id, now);
  if (!standing) standing.kind = WaitKind::queued;
  return standing;
}

} // namespace gristmill::coordinator
