// The words between a coordinator and a worker. Each struct is one message; protocol/node/codec.hpp
// says how they look on the wire and protocol/node/grammar.hpp in which order they may come.
// Invariant: plain data with defaults, no msgpack here, and nothing that only one side could
// understand.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/usage.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace gristmill::protocol {

inline constexpr std::uint16_t version_min = 2, version_max = 2;

struct Capacity {
  std::uint32_t calls = 0; // most calls in flight
  std::uint64_t bytes = 0; // most bytes of calls held
  bool operator==(const Capacity&) const = default;
};

// One call that the worker is making, or whose outcome it keeps.
struct Claim {
  CallId call;
  AttemptId attempt;
  std::vector<PartId> parts; // of one job
  EndpointId endpoint;
  JobId job() const { return job_of(parts); }
  bool operator==(const Claim&) const = default;
};

struct AnnouncedEndpoint {
  std::string model;
  EndpointSpec endpoint;
  bool operator==(const AnnouncedEndpoint&) const = default;
};

// What an answer's headers say of one of the server's limits; -1 = nothing.
struct LimitHint {
  // By whom it is counted, so that two limits of one kind are told apart. Only of `requests` and
  // `tokens` is the amount known to be ours.
  enum class Name : std::uint8_t { requests, tokens, other_requests, other_tokens };
  Name name = Name::requests;
  std::int64_t limit = -1, remaining = -1, reset_ms = -1;
  bool operator==(const LimitHint&) const = default;
};

// The body of an answer that stays in the directory that both sides share, in the file of the
// session that tells it.
struct StoredBody {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0; // 0 = it is told by value
  std::uint32_t crc = 0;   // CRC-32C
  std::string label = {};  // of the task `classify`: what its worker read from it
  std::string file = {};   // below the coordinator's directory; it does not travel
  explicit operator bool() const { return bytes != 0; }
  bool operator==(const StoredBody&) const = default;
};

// What came of a call's HTTP request.
struct Reply {
  OutcomeClass cls = OutcomeClass::transient;
  std::uint16_t http_status = 0;    // 0 = no HTTP answer
  std::int64_t retry_after_ms = -1; // -1 = the server said nothing
  bool tokens_refused = false;      // of a 429: its limit is one of tokens, not of calls
  std::vector<LimitHint> limits;    // at most one of each name
  std::uint64_t latency_us = 0;
  Usage usage;
  std::string request_id;
  std::string model;      // as the answer names it, else as asked
  std::string code;       // the endpoint's error code, or ours (timeout, connect, …)
  std::string message;    // one sentence; empty when ok
  std::string body;       // one line of JSON, or empty
  StoredBody stored = {}; // in its place
  // Of a bad result: its model may mend it, if it is told what is wrong with its answer.
  bool may_be_repaired = false;
  bool operator==(const Reply&) const = default;
};

// What the reply to a call of several parts says to one of them.
struct Answer {
  PartId part;
  OutcomeClass cls = OutcomeClass::transient;
  std::string body; // one line of JSON, or empty
  bool operator==(const Answer&) const = default;
};

// How an attempt ended. The reply to a call of one part is the part's answer; one to several, if it
// is ok, comes with an answer for each.
struct Outcome : Claim, Reply {
  std::vector<Answer> answers;
  std::size_t bytes() const;
  bool operator==(const Outcome&) const = default;
};

// Worker -> coordinator.

struct Hello {
  std::uint16_t version_low = version_min, version_high = version_max;
  std::string cluster;
  std::string name;
  Nonce process;            // new with every process
  std::uint32_t number = 0; // of this process's Hellos: rises with each
  Capacity capacity;
  std::vector<AnnouncedEndpoint> endpoints;
  std::vector<Claim> in_flight;
  std::vector<Claim> outbox; // outcomes not yet Recorded
  std::vector<CallId> held;  // without a permit
  bool operator==(const Hello&) const = default;
};

// "These calls could start now; the last ones of them as soon as others end." The permits that
// answer it live from the moment it was sent.
struct Need {
  Nonce nonce;
  std::vector<CallId> calls;
  std::uint32_t ahead = 0; // so many of them only when others end
  bool operator==(const Need&) const = default;
};

// What an endpoint's own metrics say of the calls that it has, whoever sent them.
struct QueueReport {
  EndpointId endpoint;
  std::uint64_t waiting = 0;
  std::int64_t running = -1; // -1 = they do not say
  bool operator==(const QueueReport&) const = default;
};

struct Heartbeat {
  Capacity capacity;
  std::uint32_t in_flight = 0, held = 0;
  std::vector<QueueReport> queues = {}; // read since the one before
  bool operator==(const Heartbeat&) const = default;
};

struct Outcomes {
  std::vector<Outcome> outcomes;
  bool operator==(const Outcomes&) const = default;
};

// Never started. Calls with an attempt had a permit, the others were only held.
struct Returned {
  struct Entry {
    CallId call;
    AttemptId attempt;
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> calls;
  bool keeps_calls = false; // true: only the permits come back, the calls are still held
  bool too_late = false;    // true: the permits were too old when the calls could have been sent
  bool operator==(const Returned&) const = default;
};

// It sees the directory of the Welcome: this is the coordinator's word there, and this its own. No
// words: from now on neither documents nor answers go by reference.
struct SharedProof {
  std::string theirs, ours;
  bool operator==(const SharedProof&) const = default;
};

struct Goodbye {
  bool operator==(const Goodbye&) const = default;
};

// Coordinator -> worker.

struct Welcome {
  std::uint16_t version = version_max;
  std::uint32_t heartbeat_ms = 2'000;
  std::uint64_t outcome_window_bytes = 0;
  std::vector<EndpointId> endpoints;    // ids of the announced ones, in the order of Hello
  std::vector<AttemptId> drop_attempts; // in flight or kept: nobody wants them; the rest go on
  std::vector<CallId> keep_held; // held calls that are still the worker's; the rest are dropped
  std::string shared; // the coordinator's directory below a shared one; empty = there is none
  bool operator==(const Welcome&) const = default;
};

enum class RefusedCode : std::uint8_t {
  no_session = 1, // say Hello first
  resync = 2,     // the books differ: say Hello again
  version = 3,
  cluster = 4,
  full = 5, // no room, or not for you: say Hello again later
};

struct Refused {
  RefusedCode code = RefusedCode::no_session;
  std::string sentence;
  bool operator==(const Refused&) const = default;
};

struct EndpointEntry {
  EndpointId id;
  EndpointSpec endpoint;
  std::string model = {}; // of its pool; empty = the job's own endpoint
  bool operator==(const EndpointEntry&) const = default;
};

// Once per session and job, before the job's first batch.
struct JobOpened {
  JobId job;
  std::string spec; // JSON of JobSpec
  std::vector<EndpointEntry> endpoints;
  bool by_reference = false; // its answers may be stored
  bool operator==(const JobOpened&) const = default;
};

// An answer that does not do, and why; no fault = there is nothing to repair.
struct Repair {
  std::string answer, fault;
  std::size_t bytes() const { return answer.size() + fault.size(); }
  bool operator==(const Repair&) const = default;
};

// Bytes of a file below the shared directory.
struct SharedRange {
  std::string file = {}; // empty = that of the part before it in the batch
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0; // 0 = none
  std::uint32_t crc = 0;   // CRC-32C
  explicit operator bool() const { return bytes != 0; }
  bool operator==(const SharedRange&) const = default;
};

struct PlannedPart {
  PartId id;
  ItemKind kind = ItemKind::batch_line;
  std::string raw; // the item as it stands in the input
  Repair repair = {};
  SharedRange range = {}; // where the same bytes stand; on the wire in place of them
  std::size_t bytes() const {
    return std::max<std::size_t>(raw.size(), range.bytes) + repair.bytes() + 64;
  }
  bool operator==(const PlannedPart&) const = default;
};

struct PlannedCall {
  CallId call;
  std::vector<PlannedPart> parts; // of one job
  std::string model = {};         // asked for, whatever the item says; empty = as job and item say
  JobId job() const { return parts.empty() ? JobId{} : parts[0].id.job; }
  std::vector<PartId> part_ids() const;
  std::size_t bytes() const; // that it takes of memory and of a frame, about
  bool operator==(const PlannedCall&) const = default;
};

struct Batch {
  std::vector<PlannedCall> calls;
  bool operator==(const Batch&) const = default;
};

struct Permit {
  CallId call;
  AttemptId attempt;
  EndpointId endpoint;
  std::uint32_t life_ms = 0; // from the departure of the Need; 0 = it does not age
  bool operator==(const Permit&) const = default;
};

struct Permits {
  Nonce nonce; // of the Need that it answers
  std::vector<Permit> permits;
  bool operator==(const Permits&) const = default;
};

struct Wait {
  Nonce nonce;
  std::vector<CallId> calls;
  std::uint32_t wait_ms = 0; // ask again then
  bool operator==(const Wait&) const = default;
};

// How long a worker leaves an endpoint's metrics alone after it looked: others look, too.
struct ReadPause {
  EndpointId endpoint;
  std::uint32_t ms = 0;
  bool operator==(const ReadPause&) const = default;
};

struct Recorded {
  std::vector<AttemptId> attempts;
  std::vector<ReadPause> pauses = {};
  std::vector<JobId> closed_jobs = {}; // may be forgotten: each is opened again before a call of it
  bool operator==(const Recorded&) const = default;
};

struct Cancel {
  std::vector<CallId> calls;
  bool operator==(const Cancel&) const = default;
};

struct Drain {
  bool operator==(const Drain&) const = default;
};

// The worker's word was read: documents and answers may go by reference.
struct SharedAgreed {
  bool operator==(const SharedAgreed&) const = default;
};

using Message =
    std::variant<Hello, Need, Heartbeat, Outcomes, Returned, Goodbye, Welcome, Refused, JobOpened,
                 Batch, Permits, Wait, Recorded, Cancel, Drain, SharedProof, SharedAgreed>;

struct Envelope {
  std::uint16_t version = version_max;
  Epoch epoch;           // 0 = the worker knows none yet
  SessionId session;     // 0 = none yet
  std::uint64_t seq = 0; // of this direction in this session, from 1
  std::uint64_t ack = 0; // highest seq of the other direction handled so far
  bool operator==(const Envelope&) const = default;
};

// All that one side has to say to the other at a time, in order.
struct Frame : Envelope {
  std::vector<Message> messages; // 1 to limits::frame_messages_max
  bool operator==(const Frame&) const = default;
};

bool from_worker(const Message& message);
bool stands_alone(const Message& message);        // in its frame: it begins or ends a session
std::string_view name_of(const Message& message); // "Hello", "Need", …

} // namespace gristmill::protocol
