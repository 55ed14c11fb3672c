// SESSION: one worker's connection, from its Hello on: the calls that it was given, the jobs that
// it knows, what it was told, what it may say, and whether it works on what it was given.
// Invariant: nothing is sent before its Welcome, and the Welcome names all that it must drop by
// then.
#pragma once

#include "actors/coordinator/assigned.hpp"
#include "actors/coordinator/gateway.hpp"
#include "actors/coordinator/sessions/given_calls.hpp"
#include "actors/coordinator/sessions/known_jobs.hpp"
#include "actors/coordinator/sessions/voices.hpp"
#include "actors/coordinator/views.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/grammar.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/node/speech.hpp"

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

enum class SessionState : std::uint8_t {
  greeted, // Hello accepted, not yet durable: nothing is sent
  active,
  suspect, // silent: gets nothing more
  closed,  // its connection is gone; waits for a Hello
};

// A worker that did nothing with what it was given rests for a while; then, or at once where its
// endpoint is away, it gets a single call at a time, after all others have been served, until it
// shows that it works:
enum class Trial : std::uint8_t {
  none,
  until_it_asks,    // it asked for none of the calls that it held
  until_it_answers, // it did not say how calls ended: to ask for more shows nothing
  until_it_serves,  // its endpoint is away, and others serve its model
};

// An outcome that is of a call that the session was given.
struct ProvenOutcome {
  protocol::Outcome outcome;
  Assigned given;
  bool above_bound = false; // more tokens were reported than the call can have used
};
struct ToldOutcomes {
  std::vector<ProvenOutcome> proven{};
  std::vector<AttemptId> unwanted{}; // nobody waits for them any more
  std::size_t forged = 0;            // of calls that it was not given
};

struct TakenBack {
  std::vector<AttemptId> unused{}; // permits
  std::vector<Released> calls{};   // that go back to their jobs
  std::vector<CallId> not_held{};  // the worker keeps them, and is not to
  std::size_t forged = 0;          // permits that it was not given
};

class Session {
public:
  // `all` and `voices` outlive it.
  explicit Session(Epoch epoch, InFlight* all = nullptr, Voices* voices = nullptr)
      : grammar{protocol::Direction::from_worker, epoch}, calls{all}, voices_{voices} {}

  void begin(SessionId id, PeerId peer, std::string user, const protocol::Hello& hello, Time now);
  void goes_on_from(const Session& last); // of the same process
  void durable(Time now);                 // from now on it is spoken to
  void connection_closed(Time now);
  void announced(std::vector<EndpointId> ids);

  SessionId id;
  PeerId peer;
  std::string user, name;
  Nonce process;
  std::uint32_t hello = 0; // number of the Hello that it began with
  protocol::Capacity capacity;
  SessionState state = SessionState::greeted;
  protocol::Welcome welcome;         // sent when the session is durable
  std::vector<EndpointId> endpoints; // that it announced
  protocol::Grammar grammar;
  GivenCalls calls;
  KnownJobs jobs;
  Time last_heard{}, last_sent{}, closed_at{};
  Time met_at{};              // its process said Hello for the first time in this life of ours
  bool by_reference = false;  // it shares a directory with us, and each has read the other's word
  bool proof_told = false;    // … once, so that no more than one is looked at
  bool draining = false;      // gets nothing more
  bool told_to_drain = false; // by us, not by a signal of its own; outlives its connection
  std::uint64_t completed = 0;

  // ---- what it is told ------------------------------------------------------------------------
  // Nothing while it may not be spoken to. What is said leaves, at the end of the event, as few
  // frames; what is said aside waits for the next of them, a while at most.
  void say(protocol::Message message, Time now);
  void say_aside(protocol::Message message, Time now);
  void say_cancelled(const std::vector<CallId>& cancelled, Time now);
  void say_recorded(const std::vector<AttemptId>& attempts, Time now); // aside, if there is time
  std::vector<OutgoingFrame> leave();
  Time leaves_by() const { return leaves_by_; } // what was said aside
  // Of large messages: not heard so far.
  std::size_t unheard_bytes() const { return unheard_bytes_ + waiting_bytes_; }

  // ---- what it says ---------------------------------------------------------------------------
  void heard(std::uint64_t ack, Time now); // a frame of it
  // True: twice in a row its books differ from ours, so it must say Hello again.
  bool take_beat(const protocol::Heartbeat& beat);
  ToldOutcomes take_outcomes(protocol::Outcomes outcomes, Time now);
  TakenBack take_back(const protocol::Returned& returned, Time now);
  // Its outcome was taken, and the worker may tell it again until it knows of its record.
  void answered(const protocol::Outcome& outcome, std::vector<PartId> parts);
  bool has_answered(const protocol::Claim& claim) const;
  // Nobody wants to know how the attempt ends: it is acknowledged, and that is all.
  void drop(AttemptId attempt);
  bool take_dropped(AttemptId attempt) { return dropped_.erase(attempt) != 0; }
  bool strike(Time now); // it said what cannot be true; true: once too often
  bool was_struck() const { return !strikes_.empty(); }
  // Bounds what is kept of a session that is over.
  std::size_t remembered() const { return calls.size() + answered_.size(); }

  // ---- calls ----------------------------------------------------------------------------------
  void give(CallId call, Assigned assigned);
  void feed(CallId call, Assigned assigned, Time now); // from the queue
  // Nobody wants the call any more. A permitted one ends by the worker's word; a held one is simply
  // gone. False: it is none of ours, or was given up.
  bool withdraw(CallId call);
  // In the order of their ids.
  std::vector<Released> take_held(JobId job);
  std::vector<Released> take_all(JobId job); // nobody wants to know how those in flight end

  // ---- whether it works -----------------------------------------------------------------------
  bool may_be_fed() const;
  bool has_room() const;                  // it could begin another call
  void progressed(Trial ended, Time now); // it did what ends such a trial
  // It holds calls that it could begin, and does nothing with them.
  bool is_idle(Time now) const;
  // It gets no more until then, and stands a trial. What it holds goes to others.
  std::vector<Released> rest(Trial trial, Time until);
  bool rests(Time now) const { return now < rests_until_; }
  bool on_trial() const { return trial_ != Trial::none; }
  // It is not known to do anything with a call.
  bool is_in_doubt() const { return on_trial() && trial_ != Trial::until_it_serves; }

  // Calls per second, smoothed over some seconds; what "about a second of calls" is measured by.
  double rate() const { return rate_; }
  void measure(Time now);

  WorkerView view() const;

private:
  struct Answered {
    CallId call;
    std::vector<PartId> parts;
    std::size_t bytes = 0;
  };

  bool may_be_told() const { return !peer.empty() && state != SessionState::greeted; }
  void wait_with(Time until);
  void left(const protocol::Speech::Left& frame);
  void stop_at_welcome(CallId call, AttemptId attempt);

  Voices* voices_;
  protocol::Speech speech_;
  std::vector<AttemptId> recorded_; // to be told
  Time leaves_by_ = never;
  std::uint64_t told_seq_ = 0; // of the last one that changed what the worker has in hand
  std::uint64_t ack_ = 0;      // of the last one that the worker says to have heard
  std::deque<std::pair<std::uint64_t, std::size_t>> unheard_;
  std::size_t unheard_bytes_ = 0, waiting_bytes_ = 0; // … and those that have not left
  std::set<AttemptId> dropped_;
  std::unordered_map<AttemptId, Answered> answered_;
  std::size_t unrecorded_bytes_ = 0; // of answers whose record it was not told
  std::deque<std::pair<std::uint64_t, AttemptId>> recorded_in_; // by number of the frame
  int differing_beats_ = 0;
  std::vector<Time> strikes_; // within the last minute

  // When it last asked for a permit, returned a call or said how one ended, or was given its first.
  Time progress_at_{};
  Time rests_until_{};
  Trial trial_ = Trial::none;
  double rate_ = 0;
  std::uint64_t measured_ = 0;
  Time measured_at_{};
};

} // namespace gristmill::coordinator
