// ROSTER: which sessions there are. A session is one accepted Hello; a worker that reconnects
// starts a new one and takes over from its last what both still know of.
// Invariant: a call is assigned in at most one session, and a session that is gone keeps none.
#pragma once

#include "actors/coordinator/sessions/session.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace gristmill::coordinator {

// What a Hello's lists meant.
struct Adopted {
  Session* session = nullptr;
  SessionId replaced{};                      // the same process's session before; 0 = none
  std::vector<protocol::Claim> claims{};     // calls in flight that we did not know to be with it
  std::vector<protocol::Claim> kept{};       // outcomes that we did not know it to have
  std::vector<Released> permit_unused{};     // the worker still holds the call, its permit got lost
  std::vector<Released> unknown_to_worker{}; // it has neither the call nor an outcome of it
  std::size_t unproven = 0;                  // claims of what it was not given, as far as we know
};

// Ordered: the same history, the same turns.
using SessionMap = std::map<SessionId, std::unique_ptr<Session>>;

class Roster {
public:
  explicit Roster(Epoch epoch) : epoch_{epoch} {}

  Session* find(SessionId id);
  Session* of_peer(const PeerId& peer);
  const Session* of_process(const std::string& user, Nonce process) const;
  SessionMap& sessions() { return sessions_; }
  const SessionMap& sessions() const { return sessions_; }
  std::size_t size() const { return sessions_.size(); }
  std::size_t peers() const { return peers_.size(); }
  std::uint32_t in_flight(JobId job) const { return in_flight_.of(job); }
  Voices& voices() { return voices_; }
  const Voices& voices() const { return voices_; }

  std::size_t sessions_of(const std::string& user) const;

  // Opens a session for the peer and moves over what its process's last session knows, also one
  // that was given up since. A claim is believed if that session was given the call, or if it may
  // be of an earlier life.
  struct Judge {
    std::function<bool(const protocol::Claim&)> wanted; // is it of a job that wants an answer?
    std::function<bool(const protocol::Claim&)> may_be_of_earlier_life;
  };
  Adopted adopt(const PeerId& peer, const std::string& user, const protocol::Hello& hello, Time now,
                const Judge& judge);
  void connection_closed(Session& session, Time now);
  // Takes the session out; the caller tells what becomes of its calls.
  std::unique_ptr<Session> remove(SessionId id);
  // Its process may come back and tell how the calls ended that it was making.
  void depart(std::unique_ptr<Session> session);

  bool invariant() const; // walks all calls

private:
  std::unique_ptr<Session> take_departed(const std::string& user, Nonce process);
  Session& open(const PeerId& peer, const std::string& user, const protocol::Hello& hello,
                Time now);

  Epoch epoch_;
  std::uint32_t next_session_ = 1;
  InFlight in_flight_; // of the sessions below, so it goes after them
  Voices voices_;
  SessionMap sessions_;
  std::unordered_map<PeerId, SessionId> peers_;
  std::deque<std::unique_ptr<Session>> departed_; // the first to leave in front
  std::size_t departed_calls_ = 0;
};

} // namespace gristmill::coordinator
