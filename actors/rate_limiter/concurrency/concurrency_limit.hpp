// CONCURRENCY LIMIT: how many calls an endpoint may have in flight, found by feeling: inference
// servers queue in silence, so more calls than a server has slots bring longer answers and nothing
// else. By Little's law calls in flight = rate * latency; between two limits the elasticity
// d ln(latency) / d ln(limit) says which it was: 0 = the server took the further calls up, 1 = they
// stood in its queue.
//
//   rising    the limit grows with each answer (SlowStart), until later calls take longer
//             than those before them (CallOrder), or all longer than the first ones did
//   steady    latency is watched; now and then another limit is tried for as long as it takes to
//             tell 0 from 1 (the sequential probability ratio test, A. Wald 1945): a higher one is
//             kept when the calls were taken up, a lower one when nothing but the queue went away
//
// A server that tells how many calls wait is not felt for: while its word is fresh, QueueLimit says
// what the limit should be, and what latencies show is not listened to.
//
// A limit that keeps no call from beginning is no cause of anything: only calls among which it
// bound count. Invariant: 1 <= limit() <= most, and two limits are compared only by calls that
// began while they bound.
#pragma once

#include "actors/rate_limiter/concurrency/latency_cohorts.hpp"
#include "actors/rate_limiter/concurrency/limit_ceiling.hpp"
#include "actors/rate_limiter/concurrency/queue_limit.hpp"
#include "actors/rate_limiter/concurrency/slow_start.hpp"

namespace gristmill::rate_limiter {

// What is worth to be remembered: the next life, or the next job, begins with it.
struct FoundLimit {
  std::uint32_t limit = 0;
  bool rising = false; // so many were taken up, and perhaps more would be
  bool operator==(const FoundLimit&) const = default;
};

class ConcurrencyLimit {
public:
  static constexpr std::uint32_t first = SlowStart::first;
  static constexpr std::uint32_t unbounded = 1u << 20;

  // `most`: calls in flight that may never be exceeded; 0 = no such number.
  explicit ConcurrencyLimit(std::uint32_t most);
  void set_most(std::uint32_t most);
  // What was found before, instead of a slow start.
  void resumed(const FoundLimit& found, Time now);
  // Nothing, while nothing is known: what an outage left of it is no finding.
  std::optional<FoundLimit> found() const;

  std::uint32_t limit() const { return limit_; }
  // Whether another call may begin beside those in flight; a no is remembered: the limit binds.
  bool allows(std::uint32_t in_flight);

  // A call begins; what is returned is said again at its end.
  Flight begun(Time now);
  void answered(const Flight& call, Duration latency, Time now);
  // It ended in a way that says nothing about the server's speed.
  void ended_otherwise(const Flight& call, Time now);

  // The server says how long its queue is, while so many of our calls are in flight.
  void told(const protocol::QueueReport& report, std::uint32_t in_flight, Time now);
  std::optional<protocol::QueueReport> queue(Time now) const { return queue_.fresh(now); }

  // The server says that it has too much; counts once for all calls of a burst.
  void overloaded(Time now);
  // The server went down while so many calls were in flight.
  void went_down(std::uint32_t in_flight, Time now);
  // A call brought no answer in its time: many of them are an overload, a single one is none.
  void timed_out(const Flight& call, Time now);

private:
  static constexpr double of_concern_s = 0.025; // a shorter latency is not worth a thought
  static constexpr double room = 1.03; // above the knee, so that no slot of the server is idle
  static constexpr double stride_least = 1.25, stride_most = 1.5;
  static constexpr int wary_of_found = 3;
  static constexpr Duration try_every = std::chrono::seconds{4},
                            least_holds = std::chrono::seconds{120};
  using Measured = LatencyCohorts::Measured;

  static bool is_of_concern(const LatencyEstimate& a, const LatencyEstimate& b);
  void grow(const Flight& call, Duration latency, Time now);
  bool queues_by_order(Time now);
  void measure(Time now);
  void heard(const Measured& m, Time now);
  void keep_least(const LatencyEstimate& latency);
  void rise(const Measured& m, Time now);
  void watch(const Measured& m, Time now);
  void compare(const Measured& m, Time now);
  bool strays_again(const Measured& m, bool strays);
  void follow(const LatencyEstimate& changed, double by, Time now);
  bool a_queue_is_suspected(Time now) const;
  std::optional<double> stride_up() const;
  void try_other(double limit, Time now);
  void keep_tried(Time now);
  void there_is_no_queue(Time now);
  void return_between(double elasticity, Time now);
  void feel_again(Time now);
  void settle(double limit, std::optional<LatencyEstimate> there, Time next_trial);
  std::uint32_t start() const;
  bool may_be(std::uint32_t limit, Time now) const;
  std::uint32_t bounded(double limit) const;

  std::uint32_t most_, limit_;
  bool rising_ = true;
  SlowStart slow_;
  bool in_doubt_ = false; // later calls seem to take longer than those before them
  bool shrunk_ = false;   // by an overload, since when nothing was found
  int wary_ = 0; // what was found before holds: so many higher limits are to be taken up first
  bool binding_ = false; // since it was last changed the limit has kept a call from beginning
  std::uint32_t in_flight_ = 0;
  LatencyCohorts cohorts_;
  QueueLimit queue_;
  bool told_ = false;                    // it decides
  std::uint64_t strayed_before_ = 0;     // a cohort before this one strayed; 0 = none
  std::optional<LatencyEstimate> least_; // the baseline: the shortest latency of late
  Time known_until_{Time::min()};        // then a lower limit is tried, whatever the latency

  // steady: what was measured at the limit, and the trial of another
  std::optional<LatencyEstimate> steady_, trial_;
  std::uint32_t steady_limit_ = 0;
  bool trying_ = false, next_is_up_ = true;
  double stride_ = 1;
  Time try_at_{Time::min()};

  double answered_in_flight_ = 0; // most that were, of late, as calls that were answered began
  LimitCeiling ceiling_;
};

} // namespace gristmill::rate_limiter
