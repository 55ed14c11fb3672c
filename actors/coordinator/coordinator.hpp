// COORDINATOR: one per cluster. Knows the workers, hands the jobs' calls to them in fair turns, and
// passes on what they say.
//   hears  frames from workers through GATEWAY; Offers from SUPERVISORs; Granted from RATE LIMITER;
//          SessionDurable and Recorded from JOURNAL; jobs opened and closed
//   tells  workers, through GATEWAY; SUPERVISORs news of their calls; RATE LIMITER questions and
//          ends; JOURNAL sessions
//   never  reads an item, knows a rate, or waits for the disk on the way of an item to its call
// Invariant: a worker is never sent more calls or bytes than its capacity and about one second
// ahead.
#pragma once

#include "actors/coordinator/endpoint_errors.hpp"
#include "actors/coordinator/fair_queue.hpp"
#include "actors/coordinator/gateway.hpp"
#include "actors/coordinator/queue_readers.hpp"
#include "actors/coordinator/roster.hpp"
#include "actors/coordinator/urgency.hpp"
#include "actors/coordinator/views.hpp"
#include "actors/kit/event.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/pools.hpp"
#include "protocol/rules/call_cost.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::coordinator {

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
  std::map<JobId, std::uint64_t> charged_nano_usd;
  std::vector<Event> events;
};

// How a session ends: its worker says so; its worker is silent or begins another, and may still be
// calling; or its process is known to be dead, so that a call that was in flight may have killed
// it.
enum class Departure : std::uint8_t { goodbye, lost, died };

struct Options {
  Epoch epoch;
  std::string cluster;
  // Sessions that the journal shows open: their processes may still be calling.
  std::vector<journal::SessionNote> expected;
  std::vector<PoolSpec> pools = {}; // as configured
  bool workers_died = false;        // … no: they died with our last life
};

// What the journal knows of the calls that earlier lives of ours may have made for a job.
struct EarlierLives {
  std::uint64_t mark = 0;             // highest item + 1 that they may have called
  std::uint64_t assumed_nano_usd = 0; // that they may have cost beyond what is recorded
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
  Effects session_durable(SessionId session, Time now);
  Effects recorded(SessionId session, const std::vector<AttemptId>& attempts, Time now);
  Effects tick(Time now); // at least every half second

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

  // A job with a deadline: so many items are left, and seconds.
  Effects mind_deadline(JobId job, double items_left, double seconds_left);
  const Share& share_of(JobId job) const { return queue_.share(job); } // as it is now

  // Tells the sessions of that name, or the one with that number, to end: they return what they
  // hold and finish what flies. `drained`: which they are.
  Effects drain(const std::string& worker, std::vector<WorkerView>& drained, Time now);

  std::vector<WorkerView> workers() const;
  std::uint32_t in_flight(JobId job) const { return roster_.in_flight(job); }
  // The first of the job's items that a worker calls, or keeps the outcome of.
  std::optional<std::uint64_t> first_out(JobId job) const;
  void measure(Sizes& sizes) const;
  // explain.cpp: why no call of the job begins though it has some; none = that is not the reason.
  WaitReason why_waiting(JobId job, Time now) const;
  // The same of one of its calls, or which worker has it.
  WaitReason standing(JobId job, CallId call, Time now) const;
  std::string why_refused(const JobSpec& spec) const;   // empty = some pool serves the new job
  std::string why_no_budget(const JobSpec& spec) const; // empty = its calls have prices
  // `of_jobs`: also what only jobs name. `unix_now`: the same moment for people.
  std::vector<PoolView> pools(bool of_jobs = false, Time now = {}, std::int64_t unix_now = 0) const;
  // What the endpoint of that URL that failed last has met; nullptr = none has failed.
  const EndpointErrors* errors_at(const std::string& url) const;

private:
  struct Job {
    std::string spec;
    std::string model; // of all its calls; empty = each item names its own
    bool own_endpoints = false;
    std::uint32_t batch_size = 0;
    bool hedges = false; // its supervisor wants to know when its calls begin
    std::vector<protocol::EndpointEntry> endpoints;
    std::uint32_t asked_calls = 0; // asked of the supervisor, not yet offered
    std::int64_t asked_bytes = 0;  // the supervisor's credit, debt included
    // What the limiter last said, by the calls' model, and until when that is news.
    struct Heard {
      WaitReason reason;
      Time fresh_until{};
    };
    std::map<std::string, Heard> heard;
    Share share; // as its user gave it
    Pace pace;   // of its permits
    bool held = false;
    Duration call_most{};           // from a permit to its call's outcome
    std::uint64_t earlier_mark = 0; // as of EarlierLives
    std::uint64_t earlier_nano_usd = 0;
    bool has_budget = false; // of money
  };
  static constexpr std::size_t reasons_max = 16; // of a job, for as many models

  void hear_reason(const Waiting& waiting, Time now);
  const WaitReason* fresh_reason(const Job& job, const std::string* model, Time now) const;
  bool is_served(const std::string& model) const;

  // shares.cpp
  std::set<JobId> short_of_calls(const Session& session) const;
  std::uint32_t hand_of_job(const Session& session) const;
  bool compete(const Job& a, const Job& b) const;
  bool has_room() const;

  void receive(const ReceivedFrame& received, Time now, Effects& effects);
  void hello(const ReceivedFrame& frame, const protocol::Hello& hello, Time now, Effects& effects);
  void handle(Session& session, const protocol::Need& need, Time now, Effects& effects);
  void handle(Session& session, const protocol::Heartbeat& beat, std::uint64_t ack, Time now,
              Effects& effects);

  // answers.cpp
  void handle(Session& session, protocol::Outcomes& outcomes, Time now, Effects& effects);
  void handle(Session& session, const protocol::Returned& returned, Time now, Effects& effects);
  void take_answer(Session& session, protocol::Outcome& outcome, const Assigned& given,
                   std::vector<AttemptId>& unwanted, Time now, Effects& effects);
  void expect_end(Session& session, CallId call, Time now);
  static void progressed(Session& session, Trial ended, Time now);
  std::size_t let_rest(Session& session, Trial trial, protocol::Cancel& cancel, Duration rest,
                       Time now, Effects& effects);
  void share_elsewhere(Session& session, const std::vector<Waiting>& waits, Time now,
                       Effects& effects);
  bool others_serve(const Session& session, JobId id) const;
  void watch_calls(Session& session, Time now, Effects& effects);
  bool is_idle(const Session& session, Time now) const;
  void strike(Session& session, std::string what, Time now, Effects& effects);
  std::string why_no_room(const std::string& user, Nonce process, Time now) const;
  bool is_of_earlier_life(const protocol::Claim& claim, Nonce process);

  void refuse_for_good(Session& session, const std::vector<Exceeding>& calls, Time now,
                       Effects& effects);
  void announce(Session& session, const protocol::Hello& hello, Effects& effects);
  void lose(SessionId id, Departure how, std::string_view why, Effects& effects);
  void give_up(const Released& released, const LostCall& lost, Effects& effects);
  void charge_lost(const Assigned& assigned, Effects& effects);
  void end_grace(Time now, Effects& effects);
  void say_grace_over(JobId job, Effects& effects) const;
  void never_told(const journal::SessionNote& lost);
  void expect_no_more(Nonce process, Effects& effects);
  void watch_silence(Time now, Effects& effects);

  // dispatch.cpp
  void dispatch(Time now, Effects& effects);
  void feed(Session& session, Time now, Effects& effects);
  std::uint32_t ahead_of(const Session& session) const;
  void ask_supervisors(Effects& effects);
  void ask_supervisor(JobId id, Job& job, std::size_t target, Effects& effects);
  bool may_be_fed(const Session& session) const;
  bool reaches(const Session& session, JobId job, const std::string& model) const;

  void send(Session& session, protocol::Message message, Time now, Effects& effects);
  void send_cancel(Session& session, const protocol::Cancel& cancel, Time now, Effects& effects);
  void refuse(const PeerId& peer, protocol::RefusedCode code, std::string sentence,
              Effects& effects);

  // pools.cpp
  struct Endpoint {
    EndpointSpec spec;
    std::string model;   // empty = a job's own
    bool pooled = false; // of the configuration: it stays
    bool operator==(const Endpoint&) const = default;
  };
  EndpointId endpoint_id(const Endpoint& endpoint, Nonce process);
  std::vector<protocol::EndpointEntry> endpoints_of(const JobSpec& spec, Effects& effects);
  void drop_endpoints(const Job& job, Effects& effects);
  std::set<std::string> served() const;
  std::string why_never_served(const Job& job, const protocol::PlannedCall& call) const;
  std::string url_of(EndpointId id) const;
  void note_end(const protocol::Outcome& outcome, JobId job, Time now, Effects& effects);
  CallCost cost_of(const protocol::Outcome& outcome, const Assigned& given);
  bool is_reached(const Session& session, EndpointId id) const;
  std::size_t alternatives_of(JobId job, EndpointId endpoint) const;

  Options options_;
  Roster roster_;
  FairQueue queue_;
  QueueReaders queue_readers_;
  std::map<JobId, Job> jobs_;
  std::map<EndpointId, Endpoint> endpoints_;
  std::map<EndpointId, EndpointErrors> errors_; // of those that have met some
  // Jobs whose calls became fewer since their supervisors were asked, and the least number of calls
  // that all others were asked for.
  std::set<JobId> to_ask_;
  std::size_t asked_for_ = 0;
  std::map<EndpointId, std::size_t> jobs_naming_; // an endpoint of their own: how many do
  std::vector<EndpointId> pooled_;                // in the order of the configuration
  Time grace_ends_;
  bool grace_ = true;
  bool all_told_ = true; // no session of an earlier life is lost
  // Processes of earlier lives that never came back, and how many calls each could have in flight.
  std::map<Nonce, std::uint64_t> untold_;
  std::set<Nonce> earlier_; // processes whose sessions were open when our earlier lives ended
  std::unordered_map<AttemptId, Nonce> earlier_attempts_; // who claimed them
  std::map<Nonce, Time> unheard_;                         // processes that are not heard until then
};

} // namespace gristmill::coordinator
