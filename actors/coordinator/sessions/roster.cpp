#include "actors/coordinator/sessions/roster.hpp"

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

const Session* Roster::of_process(const std::string& user, Nonce process) const {
  for (const auto& [id, session] : sessions_)
    if (session->process == process && session->user == user) return session.get();
  return nullptr;
}

Session& Roster::open(const PeerId& peer, const std::string& user, const protocol::Hello& hello,
                      Time now) {
  auto session = std::make_unique<Session>(epoch_, &in_flight_, &voices_);
  const std::uint64_t epoch = mutated("no_epoch_fencing") ? 1 : epoch_.value;
  session->begin(SessionId{(epoch << 32) | next_session_++}, peer, user, hello, now);
  Session& opened = *session;
  peers_[peer] = opened.id;
  sessions_.emplace(opened.id, std::move(session));
  return opened;
}

void Roster::connection_closed(Session& session, Time now) {
  peers_.erase(session.peer);
  session.connection_closed(now);
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
  for (const CallId call : session->calls.list_held()) session->calls.take(call);
  std::vector<CallId> flying;
  for (const auto& [call, assigned] : session->calls) flying.push_back(call);
  for (const CallId call : flying) session->calls.give_up(call);
  if (session->remembered() == 0 && !session->was_struck()) return;
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
  if (const Session* before = of_process(user, hello.process)) {
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
    const Assigned* known = last ? last->calls.find(claim.call) : nullptr;
    if (known != nullptr && (known->attempt != claim.attempt || known->parts != claim.parts))
      known = nullptr; // another try of the call, or another item
    if (known != nullptr && !was_lost && (has_ended || !known->given_up))
      return session.give(claim.call, last->calls.take(claim.call));
    const bool told_before = last && last->has_answered(claim);
    const bool dropped_before = last && last->take_dropped(claim.attempt);
    const bool proven = known != nullptr || told_before || judge.may_be_of_earlier_life(claim) ||
                        mutated("claim_without_proof");
    // One that was given up while its worker lived is to stop.
    const bool may_go_on = !dropped_before && (known == nullptr || was_lost);
    if (proven && may_go_on && judge.wanted(claim)) {
      Assigned assigned;
      if (known != nullptr) assigned = last->calls.take(claim.call);
      assigned.job = claim.job();
      assigned.parts = claim.parts;
      assigned.attempt = claim.attempt;
      assigned.endpoint = claim.endpoint;
      assigned.earlier = known == nullptr;
      assigned.charged = known != nullptr || told_before;
      assigned.note = {{}, Doubt::held}; // nobody knows how its endpoint stood
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
    session.calls.ended(claim.call);
  }
  for (const CallId call : hello.held) {
    const Assigned* known = last ? last->calls.find(call) : nullptr;
    if (known == nullptr || known->given_up) continue;
    Assigned assigned = last->calls.take(call);
    if (assigned.attempt) adopted.permit_unused.push_back({call, assigned});
    if (assigned.withdrawn) continue;
    assigned.attempt = AttemptId{};
    assigned.deadline = never;
    session.jobs.open(assigned.job, 0); // its worker has not forgotten it
    session.give(call, assigned);
    session.welcome.keep_held.push_back(call);
  }
  if (last) {
    session.goes_on_from(*last);
    for (const auto& [call, assigned] : last->calls)
      if (!assigned.given_up) adopted.unknown_to_worker.push_back({call, assigned});
  }
  return adopted;
}

bool Roster::invariant() const {
  std::set<CallId> assigned;
  InFlight in_flight;
  std::size_t connected = 0;
  for (const auto& [id, session] : sessions_) {
    if (id != session->id || !session->calls.invariant()) return false;
    connected += !session->peer.empty();
    for (const auto& [call, given] : session->calls) {
      if (given.given_up) continue;
      if (!assigned.insert(call).second) return false;
      if (given.attempt) in_flight.count(given.job, 1);
    }
  }
  std::size_t departed_calls = 0;
  for (const auto& session : departed_) departed_calls += session->remembered();
  return in_flight == in_flight_ && departed_calls == departed_calls_ &&
         connected == peers_.size() &&
         std::all_of(peers_.begin(), peers_.end(), [this](const auto& peer) {
           const auto it = sessions_.find(peer.second);
           return it != sessions_.end() && it->second->peer == peer.first;
         });
}

} // namespace gristmill::coordinator
