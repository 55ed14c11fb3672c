// COORDINATOR's watch over its workers: who is silent, who is gone, and who is told to end.
#include "actors/coordinator/coordinator.hpp"

#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"

#include <algorithm>

namespace gristmill::coordinator {

using namespace protocol;

namespace {

WorkerView view_of(const Session& session) {
  static constexpr std::string_view names[]{"greeted", "active", "suspect", "closed"};
  const auto state = session.draining ? std::string_view{"draining"}
                                      : names[static_cast<std::size_t>(session.state)];
  // A smoothed rate never comes to rest by itself.
  const double rate = session.rate() < 0.005 ? 0 : session.rate();
  return {session.id,     session.name,           std::string{state},
          session.user,   session.capacity.calls, session.in_flight(),
          session.held(), session.completed,      rate};
}

} // namespace

Effects Coordinator::peer_gone(const PeerId& peer, Time now) {
  Effects effects;
  if (Session* session = roster_.of_peer(peer)) {
    effects.events.push_back({"worker.disconnected", {{"name", session->name}}, true});
    roster_.connection_closed(*session, now);
  }
  return effects;
}

// Its worker may finish what it is making; who takes its key away wants to hear no more of it.
Effects Coordinator::key_removed(const PeerId& peer, Time now) {
  Effects effects;
  if (const Session* session = roster_.of_peer(peer))
    lose(session->id, Departure::lost, "its key was removed", effects);
  dispatch(now, effects);
  return effects;
}

Effects Coordinator::tick(Time now) {
  Effects effects;
  for (const auto& [id, session] : roster_.sessions()) session->beat(now);
  for (auto& [id, job] : jobs_) job.pace.measure(now);
  watch_silence(now, effects);
  for (const auto& [id, session] : roster_.sessions()) watch_calls(*session, now, effects);
  end_grace(now, effects);
  dispatch(now, effects);
  return effects;
}

void Coordinator::end_grace(Time now, Effects& effects) {
  if (!grace_ || (now < grace_ends_ && !options_.expected.empty())) return;
  grace_ = false;
  for (const auto& before : options_.expected) never_told(before);
  for (const auto& [id, job] : jobs_) say_grace_over(id, effects);
  all_told_ &= options_.expected.empty() || options_.workers_died;
  while (!options_.expected.empty()) expect_no_more(options_.expected.back().process, effects);
  effects.earlier_lives_told = all_told_;
}

void Coordinator::say_grace_over(JobId job, Effects& effects) const {
  effects.jobs[job].grace_over = true;
  std::uint64_t& calls = effects.jobs[job].untold_calls;
  for (const auto& [process, in_flight] : untold_) calls += in_flight;
}

// What became of the calls that it had in flight nobody knows. A process may have had several
// sessions, one after the other.
void Coordinator::never_told(const journal::SessionNote& lost) {
  std::uint64_t& calls = untold_[lost.process];
  const std::uint64_t most = lost.calls == 0 ? limits::worker_calls_max : lost.calls;
  calls = std::max(calls, most);
}

// The sessions of earlier lives that a process left open are over in the journal too, or every
// later life would wait for a process that has been dead for long.
void Coordinator::expect_no_more(Nonce process, Effects& effects) {
  std::erase_if(options_.expected, [&](const journal::SessionNote& before) {
    if (before.process != process) return false;
    effects.sessions.push_back({before.session, before.worker, before.process, false});
    return true;
  });
}

void Coordinator::watch_silence(Time now, Effects& effects) {
  struct Gone {
    SessionId id;
    Departure how;
    std::string_view why;
  };
  std::vector<Gone> gone;
  for (const auto& [id, session] : roster_.sessions()) {
    const Duration silent = now - session->last_heard;
    // Only a frame that cannot be sent shows that a connection is closed.
    if (silent > defaults::heartbeat + defaults::heartbeat / 2 &&
        now - session->last_sent >= defaults::heartbeat / 2)
      send(*session, Recorded{}, now, effects);
    if (session->state == SessionState::closed) {
      if (now - session->closed_at >= defaults::closed_lost && !mutated("no_lease_expiry"))
        gone.push_back({id, Departure::died, "its connection closed and no Hello came"});
    } else if (silent >= defaults::silent_lost && !mutated("silence_is_no_loss")) {
      gone.push_back({id, Departure::lost, "silent on an open connection"});
    } else if (silent >= defaults::silent_suspect && session->state == SessionState::active) {
      session->state = SessionState::suspect;
      effects.events.push_back({"worker.suspect", {{"name", session->name}}, true});
    }
  }
  for (const Gone& g : gone) lose(g.id, g.how, g.why, effects);
}

void Coordinator::lose(SessionId id, Departure how, std::string_view why, Effects& effects) {
  std::unique_ptr<Session> session = roster_.remove(id);
  if (!session) return;
  std::vector<Released> released;
  for (const auto& [call, assigned] : session->calls())
    if (!assigned.given_up) released.push_back({call, assigned});
  std::sort(released.begin(), released.end(),
            [](const Released& a, const Released& b) { return a.call < b.call; });
  const bool lived = session->last_heard - session->met_at >= defaults::death_counts_after;
  for (const Released& r : released) {
    const bool permitted = bool{r.assigned.attempt};
    // A call that its worker outlived did not end it.
    const bool ended_it = how == Departure::died && lived && !r.assigned.over;
    const bool alone = session->in_flight() - session->overdue() == 1;
    give_up(r, {r.assigned.item, r.call, permitted, ended_it, alone}, effects);
  }
  for (const EndpointId endpoint : session->endpoints) {
    endpoints_.erase(endpoint);
    errors_.erase(endpoint);
    effects.endpoints_gone.push_back(endpoint);
  }
  effects.sessions.push_back({id, session->name, session->process, false});
  effects.events.push_back({"worker.lost",
                            {{"name", session->name},
                             {"why", std::string{why}},
                             {"in_flight", std::to_string(session->in_flight())},
                             {"held", std::to_string(session->held())}},
                            how != Departure::goodbye});
  if (how != Departure::goodbye) roster_.depart(std::move(session));
}

void Coordinator::give_up(const Released& r, const LostCall& lost, Effects& effects) {
  const auto how = mutated("refund_on_expiry") ? Ended::How::unstarted : Ended::How::lost;
  if (r.assigned.attempt && !mutated("slot_not_freed"))
    effects.ended.push_back({how, r.assigned.attempt, {}, {}, -1});
  if (lost.permitted) charge_lost(r.assigned, effects);
  if (!jobs_.contains(r.assigned.job)) return;
  JobNews& news = effects.jobs[r.assigned.job];
  (lost.permitted ? news.lost : news.returned).push_back(lost);
}

void Coordinator::charge_lost(const Assigned& assigned, Effects& effects) {
  if (assigned.note.most_nano_usd == 0) return;
  effects.charged_nano_usd[assigned.job] += assigned.note.most_nano_usd;
  if (jobs_.contains(assigned.job))
    effects.jobs[assigned.job].charged_nano_usd += assigned.note.most_nano_usd;
}

Effects Coordinator::drain(const std::string& worker, std::vector<WorkerView>& drained, Time now) {
  Effects effects;
  for (const auto& [id, session] : roster_.sessions()) {
    if (session->name != worker && to_string(id) != worker) continue;
    if (!session->told_to_drain) send(*session, Drain{}, now, effects);
    session->told_to_drain = session->draining = true;
    drained.push_back(view_of(*session));
  }
  return effects;
}

std::optional<std::uint64_t> Coordinator::first_out(JobId job) const {
  std::optional<std::uint64_t> first;
  if (roster_.in_flight(job) == 0) return first;
  for (const auto& [id, session] : roster_.sessions())
    for (const auto& [call, assigned] : session->calls())
      if (assigned.job == job && assigned.attempt && !assigned.given_up)
        first = std::min(first.value_or(assigned.item), assigned.item);
  return first;
}

void Coordinator::measure(Sizes& sizes) const {
  sizes["coordinator.jobs"] = jobs_.size();
  sizes["coordinator.endpoints"] = endpoints_.size();
  sizes["coordinator.endpoints with errors"] = errors_.size();
  sizes["coordinator.queue jobs"] = queue_.jobs();
  sizes["coordinator.queued calls"] = queue_.size();
  sizes["coordinator.page readers"] = queue_readers_.size();
  sizes["coordinator.sessions"] = roster_.size();
  sizes["coordinator.peers"] = roster_.peers();
  sizes["coordinator.sessions expected"] = options_.expected.size();
  for (const auto& [id, session] : roster_.sessions()) {
    sizes["session.calls"] += session->calls().size();
    sizes["session.jobs"] += session->jobs_opened.size() + session->jobs_met.size();
  }
}

std::vector<WorkerView> Coordinator::workers() const {
  std::vector<WorkerView> views;
  for (const auto& [id, session] : roster_.sessions()) views.push_back(view_of(*session));
  return views;
}

} // namespace gristmill::coordinator
