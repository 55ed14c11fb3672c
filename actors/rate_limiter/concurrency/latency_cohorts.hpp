// LATENCY COHORTS: how long an endpoint's calls take, measured so that two measurements may be
// compared. A cohort is so many calls that began one after the other; it is over when nine tenths
// of them have ended, and the rest count as long as the longest of those: which calls end first
// says nothing then, as it would in a mean of what has ended.
//
// Latencies spread over decades, so their mean is estimated from their logarithms, as for a
// lognormal law: ln(mean) = m + v / 2, variance (v + v^2 / 2) / n. The v of that error is the one
// of many cohorts: a cohort without long calls has a low mean and looks sure of it.
// Invariant: what clear() ended is never measured.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/rate_limiter/concurrency/call_order.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace gristmill::rate_limiter {

// Of the mean latency in seconds, as natural logarithm, with its standard error.
struct LatencyEstimate {
  double ln_mean = 0, error = 0;
  std::uint32_t calls = 0;

  void add(const LatencyEstimate& other); // forgets slowly what is old
  double seconds() const;
};

// A call that is under way: what is said again at its end.
struct Flight {
  std::uint64_t cohort = 0;    // 0 = it is not measured
  std::uint32_t place = 0;     // within the cohort
  std::uint32_t in_flight = 0; // as it began, itself included
};

class LatencyCohorts {
public:
  static constexpr std::uint32_t size = 32;

  struct Measured {
    LatencyEstimate latency;
    std::uint64_t cohort = 0;
    std::uint32_t in_flight = 0; // as the first of its calls began
    bool bound = false;          // calls were kept from beginning meanwhile
  };

  // A call begins, as one of so many in flight.
  Flight begun(std::size_t open_most, std::uint32_t in_flight, Time now);
  // A call was kept from beginning.
  void bind();
  void answered(const Flight& call, Duration latency);
  // In a way that says nothing about the server's speed.
  void ended_otherwise(const Flight& call);
  // The oldest cohort, once it is over. Those that are over sooner than older ones were lucky.
  std::optional<Measured> take();
  void clear() { open_.clear(); }

  // The calls of the oldest one that is not over, in the order in which they began.
  std::vector<OrderedCall> oldest(Time now) const;
  // The first cohort of those that begin from now on.
  std::uint64_t next() const { return next_; }

private:
  struct Call {
    Time begun{};
    double ln_seconds = 0;
    enum class State : std::uint8_t { under_way, answered, ended_otherwise } state{};
  };
  struct Cohort {
    std::uint64_t id = 0;
    std::uint32_t in_flight = 0, begun = 0, ended_otherwise = 0;
    bool bound = false;
    std::vector<double> ended; // ln(seconds)
    std::vector<Call> calls;   // by their places
  };

  Cohort* find(std::uint64_t id);
  LatencyEstimate estimate(const Cohort& cohort);

  std::uint64_t next_ = 1;
  std::vector<Cohort> open_; // oldest first
  double variance_ = 0;      // of ln(latency) within cohorts, of late
  double cohorts_ = 0;       // that it is the average of
};

} // namespace gristmill::rate_limiter
