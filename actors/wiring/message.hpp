// Every message between the rooms and windows of a coordinator node, and the envelope that says for
// whom it is. Shells and the simulator carry envelopes; they never look inside, order, hold or drop
// them. Invariant: messages to one receiver arrive in the order in which they were posted.
#pragma once

#include "actors/coordinator/coordinator.hpp"
#include "actors/coordinator/job_desk.hpp"
#include "actors/journal/journal_store.hpp"
#include "actors/kit/records.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/merger/merger.hpp"
#include "actors/supervisor/supervisor.hpp"
#include "actors/wiring/explanation.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gristmill::wiring {

enum class Place : std::uint8_t {
  coordinator, // rooms
  rate_limiter,
  journal,
  supervisor, // one per job
  merger,     // one per job
  gateway,    // windows
  store,
  client, // who asked: the HTTP API or the command
};

struct Address {
  Place place = Place::coordinator;
  JobId job;
  auto operator<=>(const Address&) const = default;
};
std::string name_of(const Address& address); // "supervisor/job-7"

struct Envelope;

// Questions of clients and their answers.

struct JobView {
  JobId id;
  JobState state = JobState::running;
  JobReason reason = JobReason::none;
  std::string detail;
  JobCounts counts;
  std::string why_waiting;
  std::int64_t created_at = 0, ended_at = 0;
  std::string output;
  Usd budget_usd{};
  WaitKind waiting_for = WaitKind::none; // the kind of why_waiting
  std::string waiting_at = {};           // its endpoint, if one has to do with it
  std::uint32_t weight = 1, priority = 0;
  std::int64_t deadline = 0; // unix seconds; 0 = none
  bool urgent = false;       // … for whose sake it goes before all others
};

struct SubmitJob {
  JobSpec spec;
};
struct CancelJob {
  JobId job;
};
struct PauseJob {
  JobId job;
};
struct ForgetJob {
  JobId job;
};
// Goes on with a job that is paused, failed or over.
struct ReopenJob {
  JobId job;
  std::optional<JobSpec> spec; // in place of the one that it had; its identity is the same
  // Also runs again what has failed, of these classes; an empty list = of any.
  std::optional<std::vector<OutcomeClass>> retry;
  std::optional<Usd> budget_usd = {}; // in place of the one of `spec`, or that it had
};
// A page of the jobs in the order of their ids; the answer's `more` is the next one's `after`. It
// is bounded in what it looks at, too, so a list of however many jobs stops nobody for long.
struct ListJobs {
  static constexpr std::size_t looked_at_max = 4'096;

  JobId after = {};
  std::size_t limit = looked_at_max;
  // Jobs that were over before (unix seconds) are left out, but those of `wanted` (sorted) are not.
  std::int64_t ended_since = 0;
  std::shared_ptr<const std::vector<JobId>> wanted = {};
};
struct ShowJob {
  JobId job;
};
struct ExplainJob {
  JobId job;
  std::optional<supervisor::ItemQuestion> item; // nothing: the job as a whole
};
struct ShowReady {}; // an answer without an error says that jobs can go on
struct ListWorkers {};
struct DrainWorker {
  std::string worker;
}; // its name, or a session as people see it
struct ListPools {
  bool of_jobs = false; // also endpoints that only jobs name, as a pool without a model
};

struct Ask {
  std::uint64_t token = 0;
  std::variant<SubmitJob, CancelJob, PauseJob, ForgetJob, ReopenJob, ListJobs, ShowJob, ShowReady,
               ListWorkers, DrainWorker, ListPools, ExplainJob>
      question;
};

struct Answer {
  std::uint64_t token = 0;
  std::optional<Error> error;
  std::vector<JobView> jobs;                    // of all questions about jobs
  std::vector<coordinator::WorkerView> workers; // of ListWorkers, DrainWorker
  std::vector<coordinator::PoolView> pools;     // of ListPools
  std::vector<InputSpec> forgotten_inputs;      // of ForgetJob: those of the job that is gone
  std::optional<Explanation> explanation = {};  // of ExplainJob
  JobId more = {};                              // of ListJobs: it goes on after this one; 0 = no
};

// To COORDINATOR.

struct Start {}; // everything is plugged in: open the recovered jobs
struct FramesIn {
  std::vector<coordinator::ReceivedFrame> frames;
};
struct PeersGone {
  std::vector<coordinator::PeerId> peers;
  bool removed = false; // their keys are: they do not come back
};
struct Offer {
  JobId job;
  std::vector<OfferedCall> calls;
  std::vector<CallId> withdrawn;
};
struct SessionDurable {
  SessionId session;
};
struct JobDurable {
  JobId job;
  JobState state;
  std::uint64_t token = 0; // of the question that waits for it
};
struct JobForgotten {
  JobId job;
  std::uint64_t token = 0;
};
struct RecordedNow {
  SessionId session;
  std::vector<AttemptId> attempts;
};
struct JobReport {
  JobId job;
  JobCounts counts;
  bool all_terminal = false;
  std::optional<StateChange> stop;
  WaitReason waiting = {}; // why the supervisor offers no call
  double items_left = 0;   // of all that the inputs hold, as far as can be told
};
struct ItemsExplained { // from SUPERVISOR: its part of an answer
  JobId job;
  std::uint64_t token = 0;
  WaitReason waiting;
  std::optional<supervisor::ItemStanding> item;
};
struct JobRead { // what the journal holds of a job that is not open
  JobId job;
  Result<journal::RecoveredJob> content;
};
struct MergeReport {
  JobId job;
  std::string failure;
  bool again = false; // the disk is full: merging begins anew by itself
};
struct DiskFull {       // from JOURNAL
  std::string sentence; // empty = there is space again
};
// A job's room is gone, and the journal has its last words. Either comes of each room, once.
struct RoomClosed {
  Address room;
};
struct RoomCrashed {
  Address room;
  std::string what;
};

// To the others.

struct OpenJob { // to SUPERVISOR
  JobSpec spec;
  supervisor::RecoveredItems recovered;
};
struct PauseItems {};  // to SUPERVISOR
struct ResumeItems {}; // to SUPERVISOR
struct ExplainItems {  // to SUPERVISOR
  std::uint64_t token = 0;
  std::optional<supervisor::ItemQuestion> item;
};
struct CancelItems {}; // to SUPERVISOR
struct LinesDurable {
  std::uint64_t completed = 0, failed = 0;
};                   // to SUPERVISOR
struct CloseRoom {}; // to SUPERVISOR and MERGER
struct LimiterNews { // to RATE LIMITER, in this order
  std::vector<EndpointOffer> endpoints_added;
  std::vector<EndpointId> endpoints_gone;
  std::vector<JobBudget> jobs_opened;
  std::vector<JobId> jobs_closed;
  std::vector<ClaimedCall> claimed;
  std::vector<Ended> ended;
  std::vector<Acquire> acquires;
  std::vector<JobResumed> jobs_resumed = {};
  std::optional<bool> earlier_lives_told = {}; // as Effects of COORDINATOR say it
  std::vector<std::pair<JobId, AccountLimits>> jobs_changed = {}; // other limits from now on
  std::vector<std::pair<JobId, Share>> shares_changed = {};
  std::vector<protocol::QueueReport> queues = {};
};
struct ShowPools { // to RATE LIMITER: how do these endpoints stand?
  std::uint64_t token = 0;
  std::vector<coordinator::PoolView> pools;
};
struct BlocksDurable {
  std::vector<std::uint64_t> blocks;
};                 // to RATE LIMITER
struct AppendNow { // to JOURNAL
  journal::Group part;
  std::vector<Envelope> release;
};
struct StoreDurable {
  journal::Position upto = 0;
};
struct StoreFailed {
  Error error;
  journal::Group group; // as it was handed over
};
struct SendFrames { // to GATEWAY
  std::vector<coordinator::OutgoingFrame> frames;
  std::size_t consumed_bytes = 0;
};
struct ReadJob {
  JobId job;
};              // to the store; JobRead is the answer
struct Tick {}; // to whoever asked to be woken

using Message =
    std::variant<Start, FramesIn, PeersGone, Offer, Granted, SessionDurable, JobDurable,
                 JobForgotten, RecordedNow, JobReport, JobRead, MergeReport, DiskFull, RoomClosed,
                 RoomCrashed, Ask, Answer, ItemsExplained, ExplainItems, OpenJob, JobNews,
                 PauseItems, ResumeItems, CancelItems, LinesDurable, CloseRoom, LimiterNews,
                 ShowPools, BlocksDurable, AppendNow, StoreDurable, StoreFailed, journal::Group,
                 merger::MergeTask, SendFrames, ReadJob, Tick>;

struct Envelope {
  Address to;
  Message message;
};

// The two clocks, read once when a message is handled.
struct Moment {
  Time now{};
  std::int64_t unix_seconds = 0;
};

// What a room leaves behind after a message.
struct Post {
  std::vector<Envelope> envelopes;
  std::vector<Event> events;
  Time wake_at = never;       // a Tick is wanted then; each handled message says it anew
  bool closed = false;        // the room has nothing left to do
  std::optional<Error> fatal; // the node cannot go on

  void tell(Address to, Message message) { envelopes.push_back({to, std::move(message)}); }
};

class Room {
public:
  virtual ~Room() = default;
  virtual void handle(Message message, const Moment& moment, Post& post) = 0;
  virtual void measure(Sizes&) const {} // its lists, of a room that lives as long as its node
};

} // namespace gristmill::wiring
