#include "actors/coordinator/roster.hpp"

#include "actors/kit/mutant.hpp"

#include <algorithm>

namespace gristmill::coordinator {

Session* Roster::find(SessionId id) {
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : it->second.get();
}

Session* Roster::of_peer(const PeerId& peer) {
  const auto it = peers_.find(peer);
  return it == peers_.end() ? nullptr : find(it->second);
}

Session* Roster::of_process(const std::string& user, Nonce process) {
  for (const auto& [id, session] : sessions_)
    if (session->process == process && session->user == user) return session.get();
  return nullptr;
}

Session& Roster::open(const PeerId& peer, const std::string& user, const protocol::Hello& hello,
                      Time now) {
  auto session = std::make_unique<Session>(epoch_, &in_flight_);
  const std::uint64_t epoch = mutated("no_epoch_fencing") ? 1 : epoch_.value;
  session->id = SessionId{(epoch << 32) | next_session_++};
  session->grammar.begin(session->id);
  session->peer = peer;
  session->user = user;
  session->name = hello.name;
  session->process = hello.process;
  session->hello = hello.number;
  session->capacity = hello.capacity;
  session->last_heard = session->last_sent = session->progress_at = session->met_at = now;
  Session& opened = *session;
  peers_[peer] = opened.id;
  sessions_.emplace(opened.id, std::move(session));
  return opened;
}

void Roster::connection_closed(Session& session, Time now) {
  peers_.erase(session.peer);
  session.peer.clear();
  session.state = SessionState::closed;
  session.closed_at = now;
}

std::unique_ptr<Session> Roster::remove(SessionId id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return nullptr;
  std::unique_ptr<Session> session = std::move(it->second);
  sessions_.erase(it);
  const auto peer = peers_.find(session->peer);
  if (peer != peers_.end() && peer->second == id) peers_.erase(peer);
  return session;
}

std::size_t Roster::sessions_of(const std::string& user) const {
  return static_cast<std::size_t>(
      std::count_if(sessions_.begin(), sessions_.end(),
                    [&](const auto& entry) { return entry.second->user == user; }));
}

void Roster::depart(std::unique_ptr<Session> session) {
  std::vector<CallId> held;
  for (const auto& [call, assigned] : session->calls())
    if (!assigned.attempt) held.push_back(call);
  for (const CallId call : held) session->take(call);
  std::vector<CallId> flying;
  for (const auto& [call, assigned] : session->calls()) flying.push_back(call);
  for (const CallId call : flying) session->give_up(call);
  if (session->remembered() == 0 && session->strikes.empty()) return;
  departed_calls_ += session->remembered();
  departed_.push_back(std::move(session));
  while (departed_calls_ > limits::departed_calls_max || departed_.size() > limits::sessions_max) {
    departed_calls_ -= departed_.front()->remembered();
    departed_.pop_front();
  }
}

std::unique_ptr<Session> Roster::take_departed(const std::string& user, Nonce process) {
  const auto it = std::find_if(departed_.begin(), departed_.end(), [&](const auto& session) {
    return session->process == process && session->user == user;
  });
  if (it == departed_.end()) return nullptr;
  std::unique_ptr<Session> session = std::move(*it);
  departed_.erase(it);
  departed_calls_ -= session->remembered();
  return session;
}

Adopted Roster::adopt(const PeerId& peer, const std::string& user, const protocol::Hello& hello,
                      Time now, const Judge& judge) {
  Adopted adopted;
  std::unique_ptr<Session> last;
  bool was_lost = false;
  if (Session* before = of_process(user, hello.process)) {
    adopted.replaced = before->id;
    last = remove(before->id);
  } else {
    last = take_departed(user, hello.process);
    was_lost = bool{last};
  }
  Session& session = open(peer, user, hello, now);
  adopted.session = &session;
  const auto take_over = [&](const protocol::Claim& claim, std::vector<protocol::Claim>& unknown,
                             bool has_ended) {
    const Assigned* known = last ? last->find(claim.call) : nullptr;
    if (known != nullptr && (known->attempt != claim.attempt || !known->is_of(claim.parts)))
      known = nullptr; // another try of the call, or another item
    if (known != nullptr && !was_lost && (has_ended || !known->given_up))
      return session.give(claim.call, last->take(claim.call));
    const bool told_before = last && last->has_answered(claim);
    const bool dropped_before = last && last->take_dropped(claim.attempt);
    const bool proven = known != nullptr || told_before || judge.may_be_of_earlier_life(claim) ||
                        mutated("claim_without_proof");
    // One that was given up while its worker lived is to stop.
    const bool may_go_on = !dropped_before && (known == nullptr || was_lost);
    if (proven && may_go_on && judge.wanted(claim)) {
      Assigned assigned;
      if (known != nullptr) assigned = last->take(claim.call);
      assigned.job = claim.parts.front().job;
      assigned.item = claim.parts.front().item;
      assigned.attempt = claim.attempt;
      assigned.endpoint = claim.endpoint;
      assigned.earlier = known == nullptr;
      assigned.charged = known != nullptr || told_before;
      assigned.note = {0, Doubt::held}; // nobody knows how its endpoint stood
      assigned.given_up = false;
      session.give(claim.call, std::move(assigned));
      unknown.push_back(claim);
      return;
    }
    adopted.unproven += !proven && !dropped_before;
    session.welcome.drop_attempts.push_back(claim.attempt);
    if (!has_ended) session.drop(claim.attempt); // it will say that it was aborted
  };
  for (const auto& claim : hello.in_flight) take_over(claim, adopted.claims, false);
  for (const auto& claim : hello.outbox) {
    take_over(claim, adopted.kept, true);
    session.ended(claim.call);
  }
  for (const CallId call : hello.held) {
    const Assigned* known = last ? last->find(call) : nullptr;
    if (known == nullptr || known->given_up) continue;
    Assigned assigned = last->take(call);
    if (assigned.attempt) adopted.permit_unused.push_back({call, assigned});
    if (assigned.withdrawn) continue;
    assigned.attempt = AttemptId{};
    assigned.deadline = never;
    session.open(assigned.job, 0); // its worker has not forgotten it
    session.give(call, assigned);
    session.welcome.keep_held.push_back(call);
  }
  if (last) {
    session.completed = last->completed;
    session.met_at = last->met_at;
    session.strikes = last->strikes;
    session.rests_until = last->rests_until;
    session.trial = last->trial;
    session.told_to_drain = session.draining = last->told_to_drain;
    for (const auto& [call, assigned] : last->calls())
      if (!assigned.given_up) adopted.unknown_to_worker.push_back({call, assigned});
  }
  return adopted;
}

} // namespace gristmill::coordinator
