// What COORDINATOR and RATE LIMITER say to each other: questions for permits, permits, refusals,
// and what became of a permit. Plain data.
#pragma once

#include "actors/kit/fair_share.hpp"
#include "actors/kit/time.hpp"
#include "actors/words/doubt.hpp"
#include "actors/words/pack_size.hpp"
#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/rate_limits.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/node/messages.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace gristmill {

struct AcquireCall {
  CallId call{};
  JobId job{};
  std::uint64_t item = 0; // the last of its parts'
  std::uint64_t token_bound = 0;
  std::string model = {};                 // empty = the job's
  std::uint64_t output_bound = 0;         // the part of token_bound that the answer may have
  std::vector<EndpointId> failed_at = {}; // others are preferred
  std::uint64_t prefix = 0; // calls of equal ones begin alike; 0 = nothing worth to be shared
  std::uint32_t parts = 1;
  bool ahead = false; // it could only start when another one has ended
};

// A worker's question: these calls could start now, or soon.
struct Acquire {
  SessionId session;
  Nonce nonce;
  std::vector<AcquireCall> calls;
};

struct Waiting {
  std::vector<CallId> calls;
  JobId job;
  std::uint32_t wait_ms = 0;
  std::string model = {};   // as of the calls
  std::uint64_t prefix = 0; // set: only calls that begin so have to wait
  WaitReason reason = {};
};

// A call that no endpoint may ever take.
struct Exceeding {
  CallId call;
  std::string why;
  bool by_parts = false; // it has too many: they go in smaller ones
};

// How many inputs a job's calls of a model may have from now on.
struct PackNews {
  JobId job;
  PackSize size;
};

// A job with a budget of money whose next call may not go, however long it waits.
struct BudgetStop {
  JobId job;
  Usd cap{}, charged{};
  Usd unknown{};   // of `charged`: for calls whose cost nobody knows
  Usd next_call{}; // may cost so much; 0 = its model has no price
  std::string model;
};

struct Granted {
  SessionId session;
  Nonce nonce;
  std::vector<protocol::Permit> permits;
  std::vector<Waiting> waits;
  std::vector<Exceeding> exceeding = {};
  std::vector<PermitNote> notes = {}; // of each permit
  std::vector<BudgetStop> stops = {};
  std::vector<CallId> not_ahead = {}; // that are to be asked for when they could start
};

// What became of a permit.
struct Ended {
  // unstarted: the call was never sent; too_late: because its permit was too old by then.
  enum class How : std::uint8_t { answered, unstarted, too_late, lost } how = How::answered;
  AttemptId attempt{};
  OutcomeClass cls = OutcomeClass::ok;
  protocol::Usage usage{};
  std::int64_t retry_after_ms = -1;
  Duration latency{};              // of an answer
  bool tokens_refused = false;     // of a refusal: its limit is one of tokens, not of calls
  std::optional<Usd> cost = Usd{}; // of an answer; nothing: nobody knows
  std::vector<protocol::LimitHint> limits = {};
  std::uint16_t http_status = 0;
  bool lacks_answers = false; // of an answer: to some of the call's inputs

  static Ended answered(const protocol::Outcome& outcome, std::optional<Usd> cost) {
    return {.attempt = outcome.attempt,
            .cls = outcome.cls,
            .usage = outcome.usage,
            .retry_after_ms = outcome.retry_after_ms,
            .latency = std::chrono::microseconds{outcome.latency_us},
            .tokens_refused = outcome.tokens_refused,
            .cost = cost,
            .limits = outcome.limits,
            .http_status = outcome.http_status,
            .lacks_answers = std::ranges::any_of(outcome.answers, [](const auto& answer) {
              return answer.cls != OutcomeClass::ok;
            })};
  }
  static Ended unstarted(AttemptId attempt) { return {.how = How::unstarted, .attempt = attempt}; }
  static Ended too_late(AttemptId attempt) { return {.how = How::too_late, .attempt = attempt}; }
  static Ended lost(AttemptId attempt) { return {.how = How::lost, .attempt = attempt}; }
};

// A call that a worker makes under a permit of an earlier life of ours.
struct ClaimedCall {
  AttemptId attempt;
  EndpointId endpoint;
  JobId job;
  bool has_ended = false; // the worker keeps its outcome
};

struct EndpointOffer {
  EndpointId id{};
  std::string model{}; // empty = of those jobs only that name the endpoint
  EndpointSpec endpoint{};
  SessionId only{};            // set: reachable for this session alone
  bool prefix_affinity = true; // calls that begin alike go there together
};

// What the calls of the last minute and day have taken, those that are under way with all that is
// reserved for them.
struct WindowUse {
  std::uint64_t requests_per_minute = 0, tokens_per_minute = 0;
  std::uint64_t requests_per_day = 0, tokens_per_day = 0;
};

// How an endpoint stands, for people.
struct EndpointStanding {
  RateLimits limits; // the strictest of all who name its URL and key
  std::uint32_t in_flight = 0;
  std::uint32_t slots = 0;    // calls in flight that it takes up, as found so far; 0 = not known
  std::uint32_t inputs = 0;   // of a call for embeddings, likewise
  std::int64_t parked_ms = 0; // > 0: it gets no calls for so long, because …
  std::string why;
  WaitKind parked_for = WaitKind::none; // the kind of `why`
  WindowUse used = {};
  std::optional<protocol::QueueReport> queue = {}; // the server's last word, if it is fresh
};

// A job's budget of money as it stands when the job is opened.
struct JobMoney {
  Usd cap{};        // 0 = the job has none
  Usd charged{};    // counts as spent
  Usd watermark{};  // of the journal
  Usd assumed{};    // of `charged`: beyond the recorded costs
  Usd returnable{}; // of `assumed`: may come back, when the earlier lives' calls end
};

struct JobBudget {
  JobId job;
  RateLimits limits;
  std::vector<EndpointId> endpoints; // its own; empty = those that serve a call's model
  JobMoney money = {};
  Share share = {};
  std::vector<journal::LearnedNote> learned = {}; // in an earlier life
};

// A job that goes on after a pause.
struct JobResumed {
  JobId job;
  Usd cap{};
};

} // namespace gristmill
