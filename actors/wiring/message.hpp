// Every message between the rooms and windows of a coordinator node, and the envelope that says for
// whom it is. Shells and the simulator carry envelopes; they never look inside, order, hold or drop
// them. Invariant: messages to one receiver arrive in the order in which they were posted.
#pragma once

#include "actors/coordinator/coordinator.hpp"
#include "actors/jobs/effects.hpp"
#include "actors/journal/journal_store.hpp"
#include "actors/kit/moment.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/merger/merger.hpp"
#include "actors/supervisor/supervisor.hpp"
#include "actors/wiring/questions.hpp"
#include "actors/words/records.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gristmill::wiring {

enum class Recipient : std::uint8_t {
  coordinator, // rooms
  rate_limiter,
  journal,
  joiner,
  supervisor, // one per job
  merger,     // one per job
  gateway,    // windows
  store,
  cache,
  shared, // directory
  client, // who asked: the HTTP API or the command
};

struct Address {
  Recipient recipient = Recipient::coordinator;
  JobId job;
  auto operator<=>(const Address&) const = default;
};
std::string name_of(const Address& address); // "supervisor/job-7"

struct Envelope;

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
struct PacksTold { // by RATE LIMITER
  std::vector<PackNews> news;
};
using jobs::InputsDurable;
using jobs::JobDurable;
using jobs::JobForgotten;
using jobs::JobRead;
using jobs::JobReport;
using jobs::MergeReport;
struct RecordedNow {
  SessionId session;
  std::vector<AttemptId> attempts;
};
struct ItemsExplained { // from SUPERVISOR: its part of an answer
  JobId job;
  std::uint64_t token = 0;
  WaitReason waiting;
  std::optional<supervisor::ItemStanding> item;
};
struct CheckShared { // to the shared directory: is the worker's word there?
  coordinator::SharedCheck check;
};
struct SharedChecked { // the answer
  SessionId session;
  std::string why_not; // a sentence; empty = it is
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
struct PauseItems {};   // to SUPERVISOR
struct ResumeItems {    // to SUPERVISOR
  bool probing = false; // only to see whether what paused it is over
};
struct ExplainItems { // to SUPERVISOR
  std::uint64_t token = 0;
  std::optional<supervisor::ItemQuestion> item;
};
struct CancelItems {};  // to SUPERVISOR
struct InputGrew {};    // to SUPERVISOR: there may be more to read
struct InputsAppended { // to SUPERVISOR: what of an open job is durable now
  journal::AppendNote append;
};
struct LinesDurable { // to SUPERVISOR
  supervisor::DurableLines lines;
};
struct JoinItems { // to JOINER
  JobId job;
  std::vector<ItemToJoin> items;
};
struct ItemsJoined { // to SUPERVISOR
  std::vector<JoinedItem> items;
  std::string failure; // they cannot be joined; a sentence
};
struct LookUpAnswers { // to JOINER; LookedUpAnswers to SUPERVISOR is the answer
  JobId job;
  std::vector<LookUp> asked;
  std::string scope; // as of cache_scope()
};
struct AnswersDurable { // to JOINER: they are for other jobs, too
  JobId job;
  std::vector<RequestKey> keys;
  std::string scope;
};
struct FindAnswers { // to the cache: those that are not known; the answer is the same
  JobId job;
  LookedUpAnswers so_far;
  std::string scope;
};
struct KeepAnswers { // to the cache
  std::vector<KeptAnswer> answers;
};
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
  std::optional<bool> earlier_lives_told = {};                 // as Effects of COORDINATOR say it
  std::vector<std::pair<JobId, RateLimits>> jobs_changed = {}; // other limits from now on
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
using jobs::ReadJob; // to the store; JobRead is the answer
struct Tick {};      // to whoever asked to be woken

using Message =
    std::variant<Start, FramesIn, PeersGone, Offer, Granted, PacksTold, SessionDurable, JobDurable,
                 JobForgotten, RecordedNow, CheckShared, SharedChecked, JobReport, JobRead,
                 MergeReport, DiskFull, RoomClosed, RoomCrashed, Ask, Answer, ItemsExplained,
                 ExplainItems, OpenJob, JobNews, PauseItems, ResumeItems, CancelItems, InputGrew,
                 InputsAppended, InputsDurable, LinesDurable, JoinItems, ItemsJoined, LookUpAnswers,
                 LookedUpAnswers, AnswersDurable, FindAnswers, KeepAnswers, CloseRoom, LimiterNews,
                 ShowPools, BlocksDurable, AppendNow, StoreDurable, StoreFailed, journal::Group,
                 merger::MergeTask, SendFrames, ReadJob, Tick>;

struct Envelope {
  Address to;
  Message message;

  Envelope(Address to_, Message message_) : to{to_}, message{std::move(message_)} {}
  // Some messages hold a deque, whose moves may throw: a list of envelopes that grows would copy
  // all of them.
  Envelope(Envelope&&) noexcept = default;
  Envelope& operator=(Envelope&&) noexcept = default;
  Envelope(const Envelope&) = default;
  Envelope& operator=(const Envelope&) = default;
};

using gristmill::Moment;

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
