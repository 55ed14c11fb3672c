// What COORDINATOR and RATE LIMITER say to each other: questions for permits, permits, refusals,
// and what became of a permit. Plain data.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/kit/wait_reason.hpp"
#include "protocol/messages.hpp"

#include <string>
#include <vector>

namespace gristmill {

struct AccountLimits {
  std::uint64_t requests_per_minute = 0; // 0 = unlimited, here and below
  std::uint64_t tokens_per_minute = 0;
  std::uint32_t max_in_flight = 0;
  bool strict_tokens = false;   // reserve a call's bound, never a learned part of it
  bool reserved_tokens = false; // the bound is charged, whatever the call uses
  bool operator==(const AccountLimits&) const = default;
  bool windows() const { return requests_per_minute != 0 || tokens_per_minute != 0; }
};

struct AcquireCall {
  CallId call;
  JobId job;
  std::uint64_t item = 0;
  std::uint64_t token_bound = 0;
  std::string model = {}; // empty = the job's
};

// A worker's question: these calls could start now.
struct Acquire {
  SessionId session;
  Nonce nonce;
  std::vector<AcquireCall> calls;
};

struct Waiting {
  std::vector<CallId> calls;
  JobId job;
  std::uint32_t wait_ms = 0;
  std::string why;
  std::string model = {}; // as of the calls
  WaitReason reason = {}; // for people; none = it is over at once
};

// A call that no endpoint may ever take.
struct Exceeding {
  CallId call;
  std::string why;
};

struct Granted {
  SessionId session;
  Nonce nonce;
  std::vector<protocol::Permit> permits;
  std::vector<Waiting> waits;
  std::vector<Exceeding> exceeding = {};
  std::vector<double> costs = {}; // of each permit: the part of its endpoint's minute that it takes
};

// What became of a permit.
struct Ended {
  // unstarted: the call was never sent; too_late: because its permit was too old by then.
  enum class How : std::uint8_t { answered, unstarted, too_late, lost } how = How::answered;
  AttemptId attempt;
  OutcomeClass cls = OutcomeClass::ok;
  protocol::Usage usage;
  std::int64_t retry_after_ms = -1;
  Duration latency{};          // of an answer
  bool tokens_refused = false; // of a refusal: its limit is one of tokens, not of calls
};

// A call that a worker makes under a permit of an earlier life of ours.
struct ClaimedCall {
  AttemptId attempt;
  EndpointId endpoint;
  JobId job;
};

struct EndpointOffer {
  EndpointId id;
  std::string model; // empty = of those jobs only that name the endpoint
  EndpointSpec endpoint;
  SessionId only; // set: reachable for this session alone
};

// How an endpoint stands, for people.
struct EndpointStanding {
  AccountLimits limits; // the strictest of all who name its URL and key
  std::uint32_t in_flight = 0;
  std::uint32_t slots = 0;    // calls in flight that it takes up, as found so far; 0 = not known
  std::int64_t parked_ms = 0; // > 0: it gets no calls for so long, because …
  std::string why;
};

struct JobBudget {
  JobId job;
  std::string model;
  AccountLimits limits;
  std::vector<EndpointId> endpoints; // its own; empty = those that serve `model`
};

} // namespace gristmill
