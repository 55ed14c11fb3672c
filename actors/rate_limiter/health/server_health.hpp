// SERVER HEALTH: what the ends of its calls say of an account's server: whether it is well
// (EndpointHold), whether its credit is used up (QuotaGate), how long its answers take, how often
// it is full, and how many calls it takes up (ConcurrencyLimit), which is found only where that is
// asked for. Invariant: it takes up no more calls than its limits allow.
#pragma once

#include "actors/rate_limiter/concurrency/concurrency_limit.hpp"
#include "actors/rate_limiter/concurrency/found_limits.hpp"
#include "actors/rate_limiter/health/answer_time.hpp"
#include "actors/rate_limiter/health/endpoint_hold.hpp"
#include "actors/rate_limiter/health/quota_gate.hpp"
#include "actors/words/doubt.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/node/messages.hpp"

#include <cstdint>
#include <optional>

namespace gristmill::rate_limiter {

class ServerHealth {
public:
  // `most`: calls in flight that are allowed; 0 = no such limit. `before`: what was found in an
  // earlier life or for an earlier job.
  void find_concurrency(std::uint32_t most, const std::optional<FoundLimit>& before, Time now);
  void set_most(std::uint32_t most) {
    if (concurrency_) concurrency_->set_most(most);
  }
  // Calls that it takes up, as found so far; nothing: nobody looks for that.
  std::optional<std::uint32_t> takes_up() const {
    return concurrency_ ? std::optional{concurrency_->limit()} : std::nullopt;
  }
  // … if it is other than what was asked for last.
  std::optional<FoundLimit> found_news();
  // What the server says of its queue; heard only of one that finds its concurrency.
  void queue_told(const protocol::QueueReport& report, std::uint32_t in_flight, Time now) {
    if (concurrency_) concurrency_->told(report, in_flight, now);
  }
  std::optional<protocol::QueueReport> queue(Time now) const {
    return concurrency_ ? concurrency_->queue(now) : std::nullopt;
  }

  // Whether it takes up another call beside those in flight; a no is remembered.
  bool takes_another(std::uint32_t in_flight) {
    return !concurrency_ || concurrency_->allows(in_flight);
  }
  const EndpointHold& hold() const { return hold_; }
  const QuotaGate& quota() const { return quota_; }
  bool is_well() const { return !hold_.is_held() && !quota_.is_closed(); }
  void ask_quota_at_once() { quota_.ask_at_once(); }
  // How long it takes for an answer, of late; 0 = nobody knows.
  double answer_seconds(Time now) const { return answer_time_.seconds(now); }
  // What a failure of a call that began now would leave open.
  Doubt doubt(std::uint32_t in_flight) const;

  // As a call begins; said again at its end.
  struct Begun {
    Time at{};                   // Time{} = in an earlier life of ours
    std::uint32_t in_flight = 0; // calls then, itself included
    Flight flight{};             // of the concurrency limit
    EndpointHold::Begun hold{};
  };
  Begun begun(std::uint32_t in_flight, Time now); // beside so many others
  struct End {
    OutcomeClass cls = OutcomeClass::unstarted;
    Duration latency{};
    bool from_cache = false;           // it had read most of the request before
    std::optional<Duration> told = {}; // when it wants to be asked again
    bool unstarted = false;            // the call was never sent
  };
  // `in_flight`: with the call that has ended.
  void ended(const Begun& call, const End& end, std::uint32_t in_flight, Time now);
  // Full, it says, but at once, and answers others: it has a limit of calls in a time, not too few
  // slots. One whose slots are taken lets calls wait first, and a gateway speaks of a server that
  // is away.
  bool refuses_at_once(OutcomeClass cls, Duration latency, Time now) const {
    return cls != OutcomeClass::gateway && fails_at_once(cls, latency, now);
  }

private:
  bool fails_at_once(OutcomeClass cls, Duration latency, Time now) const;
  void hear_hold(const Begun& call, const End& end, Time now);
  void hear_concurrency(const Begun& call, const End& end, bool is_alike, Time now);

  EndpointHold hold_;
  QuotaGate quota_;
  AnswerTime answer_time_;
  double from_cache_ = 0;           // share of answers of late
  double full_ = 0;                 // share of ends of late that say that it is full
  std::uint32_t most_answered_ = 0; // most calls in flight as one began that was answered
  std::optional<ConcurrencyLimit> concurrency_;
  FoundLimit noted_{0, true};
};

} // namespace gristmill::rate_limiter
