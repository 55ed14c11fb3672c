// COORDINATOR: one per cluster. Knows the workers, hands the jobs' calls to them in fair turns, and
// passes on what they say. It joins SESSIONS, ENDPOINT DIRECTORY, DISPATCH and WAITS, of which none
// changes what another holds: what one of them finds out is told to the others here.
//   hears  frames from workers through GATEWAY; Offers from SUPERVISORs; Granted from RATE LIMITER;
//          SessionDurable and Recorded from JOURNAL; jobs opened and closed
//   tells  workers, through GATEWAY; SUPERVISORs news of their calls; RATE LIMITER questions and
//          ends; JOURNAL sessions
//   never  reads an item, knows a rate, or waits for the disk on the way of an item to its call
// Invariant: a job is open in all four or in none, and what an event means leaves with it.
#pragma once

#include "actors/coordinator/dispatch/dispatch.hpp"
#include "actors/coordinator/endpoints/endpoint_directory.hpp"
#include "actors/coordinator/gateway.hpp"
#include "actors/coordinator/sessions/sessions.hpp"
#include "actors/coordinator/views.hpp"
#include "actors/coordinator/waits.hpp"
#include "actors/kit/event.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/usd.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::coordinator {

// A worker has read the coordinator's word in the shared directory; whether its own can be read is
// for the window to say.
struct SharedCheck {
  SessionId session;
  std::string word;
};

struct Effects {
  std::vector<OutgoingFrame> frames; // GATEWAY
  std::map<JobId, JobNews> jobs;     // SUPERVISOR of the job
  std::vector<Acquire> acquires;     // RATE LIMITER, and what follows
  std::vector<Ended> ended;
  std::vector<std::pair<JobId, Share>> shares_changed;
  std::vector<protocol::QueueReport> queues;
  std::vector<ClaimedCall> claimed;
  std::optional<bool> earlier_lives_told; // true: every session of theirs has said what it holds
  std::vector<EndpointOffer> endpoints_added;
  std::vector<EndpointId> endpoints_gone;
  std::vector<journal::SessionNote> sessions; // JOURNAL; open ones come back as session_durable
  // … as one with them: what lost calls may have cost. A session that is over in the journal must
  // owe nothing.
  std::map<JobId, Usd> charged;
  std::vector<SharedCheck> shared_checks;
  std::vector<Event> events;
};

// A directory that workers may share with us; no word: there is none.
struct SharedPlace {
  std::string directory; // ours, below it
  std::string word;      // of this life, in a file there
};

struct Options {
  Epoch epoch;
  std::string cluster;
  // Sessions that the journal shows open: their processes may still be calling.
  std::vector<journal::SessionNote> expected;
  std::vector<PoolSpec> pools = {}; // as configured
  bool workers_died = false;        // … no: they died with our last life
  SharedPlace shared = {};
  bool has_cache = false; // of answers, for all jobs
};

// What the journal knows of the calls that earlier lives of ours may have made for a job.
struct EarlierLives {
  std::uint64_t mark = 0; // highest item + 1 that they may have called
  Usd assumed_cost{};     // that they may have cost beyond what is recorded
};

class Coordinator {
public:
  Coordinator(Options options, Time now);

  Effects started(); // first of all: the pools' endpoints
  Effects received(const std::vector<ReceivedFrame>& frames, Time now);
  Effects peer_gone(const PeerId& peer, Time now);
  Effects key_removed(const PeerId& peer, Time now); // it may not be told anything more
  Effects offered(JobId job, std::vector<OfferedCall> calls, Time now);
  Effects withdrawn(JobId job, const std::vector<CallId>& calls, Time now);
  Effects granted(const Granted& granted, Time now);
  Effects packs_told(const std::vector<PackNews>& news);
  Effects session_durable(SessionId session, Time now);
  // `why_not`: its word cannot be read, a sentence; empty = it can.
  Effects shared_checked(SessionId session, const std::string& why_not, Time now);
  Effects recorded(SessionId session, const std::vector<AttemptId>& attempts, Time now);
  Effects tick(Time now);  // at least every half second
  Effects speak(Time now); // at speaks_at(): what was only to be said with something else
  Time speaks_at() const { return sessions_.speaks_at(); }

  // The job's own endpoints get their ids here; the ids say which ones the job may use.
  // `earlier`: what earlier lives of ours may have done for it.
  Effects job_opened(JobId job, const JobSpec& spec, std::vector<EndpointId>& endpoints, Time now,
                     const EarlierLives& earlier = {});
  Effects job_closed(JobId job, Time now); // nothing of it is wanted any more
  // Before that, of one that failed: its workers say anew what they hold and keep, because its
  // supervisor may have let go of outcomes without recording them.
  Effects job_failed(JobId job);
  // The job starts no more calls until it is released: what no worker holds goes back.
  Effects job_held(JobId job, Time now);
  Effects job_released(JobId job, Time now);
  Effects mind_deadline(JobId job, double items_left, double seconds_left);
  // Tells the sessions of that name, or with that number, to end. `drained`: which they are.
  Effects drain(const std::string& worker, std::vector<WorkerView>& drained, Time now);

  const Sessions& sessions() const { return sessions_; }
  const EndpointDirectory& endpoints() const { return endpoints_; }
  const Dispatch& dispatch() const { return dispatch_; }
  // Why no call of the job begins though it has some; none = that is not the reason.
  WaitReason why_waiting(JobId job, Time now) const;
  // The same of one of its calls, or which worker has it.
  WaitReason standing(JobId job, CallId call, Time now) const;
  // Of a job here; empty = where workers share a directory with us, its texts stay in it.
  std::string why_by_value(const JobSpec& spec) const;
  void measure(Sizes& sizes) const;

private:
  struct Job {
    std::string spec;    // that workers are told
    bool hedges = false; // its supervisor wants to know when its calls begin
    bool by_reference = false;
  };

  void hello(const ReceivedFrame& received, const protocol::Hello& hello, Time now);
  void hear(Session& session, protocol::Message& any, Time now);
  void hear(Session& session, const protocol::Need& need, Time now);
  void hear(Session& session, const protocol::Heartbeat& beat, Time now);
  void hear(Session& session, protocol::Outcomes& outcomes, Time now);
  void hear(Session& session, const protocol::Returned& returned, Time now);
  void hear(Session& session, const protocol::SharedProof& proof, Time now);
  void share_elsewhere(const Session& session, const std::vector<Waiting>& waits, Time now);
  void feed_workers(Time now);
  void feed_workers(const std::vector<Session*>& changed, Time now);
  void feed(Session& session, Time now);
  void carry(SessionNews news);
  Effects leave(); // with what was said to sessions

  Sessions sessions_;
  EndpointDirectory endpoints_;
  Dispatch dispatch_;
  Waits waits_;
  const SharedPlace shared_;
  const bool has_cache_;
  std::map<JobId, Job> jobs_;
  Effects out_; // of the event that is being handled
};

} // namespace gristmill::coordinator
