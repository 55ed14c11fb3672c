// SESSIONS: the workers of a cluster: who may join, which of their words count, who is silent, who
// does nothing with its calls, who is told to drain, and what becomes of a session's calls when it
// is over. Invariant: a session is lost once, and by then at the latest its calls are given up.
#pragma once

#include "actors/coordinator/gateway.hpp"
#include "actors/coordinator/sessions/earlier_sessions.hpp"
#include "actors/coordinator/sessions/roster.hpp"
#include "actors/coordinator/views.hpp"
#include "actors/kit/event.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/records.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

// How a session ends: its worker says so; its worker is silent or begins another, and may still be
// calling; or its process is known to be dead, so that a call that was in flight may have killed
// it.
enum class Departure : std::uint8_t { goodbye, lost, died };

// A call that its worker is not expected to make or end any more.
struct GivenUp {
  Assigned assigned;
  LostCall lost;
};

// What something that happened to sessions means for others.
struct SessionNews {
  std::vector<OutgoingFrame> frames{}; // outside of any session
  std::vector<AttemptId> unused{};     // permits that got lost on their way
  std::vector<GivenUp> given_up{};
  std::vector<EndpointId> endpoints_gone{}; // that only a lost session reached
  std::vector<journal::SessionNote> notes{};
  std::vector<Event> events{};
};

// A frame that counts, and whose it is; a Hello has no session yet. No frame: it was answered or
// dropped.
struct HeardFrame {
  Session* session = nullptr;
  std::optional<protocol::Frame> frame{};
  SessionNews news{};
};

// What a Hello led to; no session: it was not accepted.
struct Admission {
  Session* session = nullptr;
  std::vector<protocol::Claim> claims{}; // calls in flight that we did not know to be with it
  std::vector<protocol::Claim> kept{};   // outcomes that we did not know it to have
  SessionNews news{};
};

struct SessionOptions {
  Epoch epoch{};
  std::string cluster{}; // empty = any
  // Sessions that the journal shows open: their processes may still be calling.
  std::vector<journal::SessionNote> expected{};
  bool workers_died = false; // … no: they died with our last life
  std::string shared{};      // our directory below one that workers may share
};

class Sessions {
public:
  Sessions(SessionOptions options, Time now);

  HeardFrame hear(const ReceivedFrame& received, Time now);
  Admission admit(const ReceivedFrame& received, const protocol::Hello& hello, Time now);
  SessionNews connection_closed(const PeerId& peer, Time now);
  SessionNews key_removed(const PeerId& peer); // it may not be told anything more
  SessionNews lose(SessionId id, Departure how, std::string_view why);
  // It said what cannot be true. Three times, and it is over.
  SessionNews strike(SessionId id, const std::string& what, Time now);
  // The call as it is permitted now; nullptr: nobody is there to use the permit.
  const Assigned* permit(SessionId id, const protocol::Permit& permit, const PermitNote& note,
                         Time now);
  SessionNews resync(const Session& session, std::string sentence) const; // say Hello again
  // Its endpoint is away, and others serve its model: they get what it holds.
  SessionNews relieve(SessionId id, const WaitReason& reason, Time now);
  // Tells the sessions of that name, or the one with that number, to end: they return what they
  // hold and finish what flies. `drained`: which they are.
  struct Drained {
    std::vector<WorkerView> workers{};
    SessionNews news{};
  };
  Drained drain(const std::string& worker, Time now);
  // At least every half second: who is silent, and who does not do what it was given.
  SessionNews tick(Time now);

  // ---- what they are told ---------------------------------------------------------------------
  std::vector<OutgoingFrame> leave(); // what was said in this event
  void speak(Time now);               // what was said aside and has waited long enough
  Time speaks_at() const { return roster_.voices().next(); }

  // ---- jobs ---------------------------------------------------------------------------------
  // Earlier lives of ours may have called its items below `mark`. A call ends at most so long after
  // its permit.
  void job_opened(JobId job, std::uint64_t mark, Duration call_most);
  SessionNews job_closed(JobId job, Time now);
  SessionNews job_held(JobId job, Time now); // what is held of it goes back
  SessionNews job_failed(JobId job) const;   // its workers say anew what they hold and keep
  SessionNews withdraw(const std::vector<CallId>& calls, Time now);
  std::optional<EarlierSessions::GraceOver> end_grace(Time now) { return earlier_.end_grace(now); }
  const EarlierSessions& earlier() const { return earlier_; }

  // ---- who is there ---------------------------------------------------------------------------
  Session* find(SessionId id) { return roster_.find(id); }
  const SessionMap& all() const { return roster_.sessions(); }
  std::size_t size() const { return roster_.size(); }
  const Session* with(CallId call) const; // nullptr: nobody has it
  std::vector<WorkerView> workers() const;
  std::map<EndpointId, std::string> announcers() const; // by what they announce
  std::uint32_t in_flight(JobId job) const { return roster_.in_flight(job); }
  // The first of the job's items that a worker calls, or keeps the outcome of.
  std::optional<std::uint64_t> first_out(JobId job) const;
  void measure(Sizes& sizes) const;
  bool invariant() const { return roster_.invariant(); } // walks all calls

private:
  std::optional<protocol::Refused> why_refused(const ReceivedFrame& received,
                                               const protocol::Hello& hello, Time now) const;
  std::string why_no_room(const std::string& user, Nonce process, Time now) const;
  void expect_end(Session& session, CallId call, JobId job, Time now) const;
  void lose_into(SessionNews& news, SessionId id, Departure how, std::string_view why);
  void watch_silence(SessionNews& news, Time now);
  void watch_calls(SessionNews& news, Session& session, Time now) const;
  OutgoingFrame refusal(const PeerId& peer, protocol::Refused refused) const;

  Epoch epoch_;
  std::string cluster_, shared_;
  Roster roster_;
  EarlierSessions earlier_;
  std::map<JobId, Duration> call_most_;
  std::map<Nonce, Time> unheard_; // processes that are not heard until then
};

} // namespace gristmill::coordinator
