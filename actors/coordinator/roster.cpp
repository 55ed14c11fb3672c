#include "actors/coordinator/roster.hpp"

#include "actors/kit/mutant.hpp"

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
  session->last_heard = session->last_sent = now;
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

} // namespace gristmill::coordinator
