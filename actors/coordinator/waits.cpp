#include "actors/coordinator/waits.hpp"

#include <algorithm>

namespace gristmill::coordinator {
namespace {

// A refusal is news until the call is asked for again, and a little longer.
constexpr auto asked_again_within = std::chrono::seconds{1};

// A group commit takes some milliseconds; only what takes longer is worth a word.
constexpr auto slow_commit = std::chrono::milliseconds{500};
bool is_soon_over(const WaitReason& reason, Time now) {
  return reason.kind == WaitKind::journal && now < reason.since + slow_commit;
}

template <class Is> bool any_session(const SessionMap& sessions, const Is& is) {
  return std::any_of(sessions.begin(), sessions.end(),
                     [&](const auto& entry) { return is(*entry.second); });
}

} // namespace

void Waits::hear(const Waiting& waiting, Time now) {
  const auto job = jobs_.find(waiting.job);
  if (job == jobs_.end() || !waiting.reason || is_soon_over(waiting.reason, now)) return;
  auto& heard = job->second;
  if (heard.size() >= reasons_max && !heard.contains(waiting.model))
    std::erase_if(heard, [now](const auto& entry) { return entry.second.fresh_until < now; });
  if (heard.size() >= reasons_max && !heard.contains(waiting.model)) return;
  heard[waiting.model] = {.reason = waiting.reason,
                          .fresh_until = now + std::chrono::milliseconds{waiting.wait_ms} +
                                         asked_again_within};
}

// Of these models' reasons the one that ends first.
const WaitReason* Waits::fresh_reason(JobId id, const std::string* model, Time now) const {
  const WaitReason* first = nullptr;
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return first;
  for (const auto& [of, heard] : job->second)
    if (heard.fresh_until >= now && (model == nullptr || of == *model) &&
        (first == nullptr || heard.reason.until < first->until))
      first = &heard.reason;
  return first;
}

WaitReason Waits::why_waiting(JobId id, const JobFacts& facts, const SessionMap& sessions,
                              Time now) const {
  if (!jobs_.contains(id)) return {.kind = sessions.empty() ? WaitKind::no_worker : WaitKind::none};
  if (!any_session(sessions, [](const Session& s) { return s.may_be_fed() && !s.is_in_doubt(); }))
    return {.kind = WaitKind::no_worker, .limit = sessions.size()};
  if (facts.unserved) return {.kind = WaitKind::unserved, .because = *facts.unserved};
  if (const WaitReason* told = fresh_reason(id, nullptr, now)) return *told;
  if (facts.item_unserved) return {.kind = WaitKind::unserved, .because = *facts.item_unserved};
  if (facts.queued > 0 && !any_session(sessions, [](const Session& s) { return s.has_room(); })) {
    if (facts.others_queued > 0) return {.kind = WaitKind::turn, .limit = facts.others_queued};
    WaitReason full{.kind = WaitKind::workers_full};
    for (const auto& [session_id, session] : sessions)
      if (session->may_be_fed()) full.limit += session->capacity.calls;
    return full;
  }
  if (facts.queued == 0 && facts.claims_until)
    return {.kind = WaitKind::claims, .until = *facts.claims_until};
  return {};
}

WaitReason Waits::standing(const Session& session, const Assigned& assigned, Time now) const {
  WaitReason standing;
  if (!assigned.attempt)
    if (const WaitReason* told = fresh_reason(assigned.job, &assigned.model, now)) standing = *told;
  standing.worker = session.name;
  if (assigned.given_up) standing.because = "its timeouts are over; it is made elsewhere";
  if (session.state == SessionState::closed)
    standing.because = "its connection is closed; the call goes elsewhere if it stays away";
  if (session.state == SessionState::suspect)
    standing.because = "it is silent; the call goes elsewhere if it stays so";
  if (assigned.attempt) {
    standing.kind = WaitKind::in_flight;
    standing.attempt = assigned.attempt;
    standing.since = assigned.since;
  } else if (!standing) {
    const bool full = session.calls.in_flight() >= session.capacity.calls;
    standing.kind = full ? WaitKind::workers_full : WaitKind::held;
    standing.limit = session.capacity.calls;
  }
  return standing;
}

} // namespace gristmill::coordinator
