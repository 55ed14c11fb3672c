// ROSTER: who is alive, and which call is with whom. A session is one accepted Hello; a worker that
// reconnects starts a new one and takes over from its last what both still know of.
// Invariant: a call is assigned in at most one session, and a session that is gone keeps none.
#pragma once

#include "actors/coordinator/session.hpp"

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace gristmill::coordinator {

// A call that changed hands or was given up, with what the roster knew of it.
struct Released {
  CallId call;
  Assigned assigned;
};

// What a Hello's lists meant.
struct Adopted {
  Session* session = nullptr;
  SessionId replaced;                      // the same process's session before; 0 = none
  std::vector<protocol::Claim> claims;     // calls in flight that we did not know to be with it
  std::vector<protocol::Claim> kept;       // outcomes that we did not know it to have
  std::vector<Released> permit_unused;     // the worker still holds the call, its permit got lost
  std::vector<Released> unknown_to_worker; // it has neither the call nor an outcome of it
};

class Roster {
public:
  explicit Roster(Epoch epoch) : epoch_{epoch} {}

  Session* find(SessionId id);
  Session* of_peer(const PeerId& peer);
  Session* of_process(const std::string& user, Nonce process);
  std::map<SessionId, std::unique_ptr<Session>>& sessions() { return sessions_; }
  const std::map<SessionId, std::unique_ptr<Session>>& sessions() const { return sessions_; }
  std::size_t size() const { return sessions_.size(); }
  std::size_t peers() const { return peers_.size(); }
  std::uint32_t in_flight(JobId job) const { return in_flight_.of(job); }

  // Opens a session for the peer and moves over what its process's last session knows.
  // `wanted(claim)`: is the claim of a job that still wants an answer?
  template <class Wanted>
  Adopted adopt(const PeerId& peer, const std::string& user, const protocol::Hello& hello, Time now,
                Wanted wanted);
  void connection_closed(Session& session, Time now);
  // Takes the session out; the caller tells what becomes of its calls.
  std::unique_ptr<Session> remove(SessionId id);

private:
  Session& open(const PeerId& peer, const std::string& user, const protocol::Hello& hello,
                Time now);

  Epoch epoch_;
  std::uint32_t next_session_ = 1;
  InFlight in_flight_; // of the sessions below, so it goes after them
  std::map<SessionId, std::unique_ptr<Session>>
      sessions_; // ordered: the same history, the same turns
  std::unordered_map<PeerId, SessionId> peers_;
};

template <class Wanted>
Adopted Roster::adopt(const PeerId& peer, const std::string& user, const protocol::Hello& hello,
                      Time now, Wanted wanted) {
  Adopted adopted;
  std::unique_ptr<Session> last;
  if (Session* before = of_process(user, hello.process)) {
    adopted.replaced = before->id;
    last = remove(before->id);
  }
  Session& session = open(peer, user, hello, now);
  adopted.session = &session;
  const auto take_over = [&](const protocol::Claim& claim, std::vector<protocol::Claim>& unknown) {
    const Assigned* known = last ? last->find(claim.call) : nullptr;
    if (known != nullptr && known->attempt == claim.attempt) {
      session.give(claim.call, last->take(claim.call));
    } else if (wanted(claim)) {
      if (known != nullptr) last->take(claim.call);
      session.give(claim.call, {claim.parts.front().job,
                                claim.parts.front().item,
                                0,
                                0,
                                claim.attempt,
                                claim.endpoint,
                                {}});
      unknown.push_back(claim);
    } else {
      session.welcome.drop_attempts.push_back(claim.attempt);
    }
  };
  for (const auto& claim : hello.in_flight) take_over(claim, adopted.claims);
  for (const auto& claim : hello.outbox) {
    take_over(claim, adopted.kept);
    session.ended(claim.call);
  }
  for (const CallId call : hello.held) {
    const Assigned* known = last ? last->find(call) : nullptr;
    if (known == nullptr) continue;
    Assigned assigned = last->take(call);
    if (assigned.attempt) adopted.permit_unused.push_back({call, assigned});
    assigned.attempt = AttemptId{};
    session.give(call, assigned);
    session.welcome.keep_held.push_back(call);
  }
  if (last) {
    session.completed = last->completed;
    session.told_to_drain = session.draining = last->told_to_drain;
    for (const auto& [call, assigned] : last->calls())
      adopted.unknown_to_worker.push_back({call, assigned});
  }
  return adopted;
}

} // namespace gristmill::coordinator
