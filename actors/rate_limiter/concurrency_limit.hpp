// CONCURRENCY LIMIT: how many calls an endpoint may have in flight, found by feeling: inference
// servers queue in silence, so more calls than a server has slots bring longer answers and nothing
// else. By Little's law calls in flight = rate * latency; between two limits the elasticity
// d ln(latency) / d ln(limit) says which it was: 0 = the server took the further calls up, 1 = they
// stood in its queue.
//
//   rising    the limit grows by one with each answer, until latency leaves its baseline
//   steady    latency is watched; now and then another limit is tried for as long as it takes to
//             compare: a higher one is kept when the calls were taken up, a lower one when nothing
//             but the queue went away
//
// Latency is measured on cohorts: the next calls to begin, until nine tenths of them have ended;
// the rest count as long as the longest of those. Which calls end first says nothing then, as it
// would in a mean of what has ended. Invariant: 1 <= limit() <= most, and two limits are compared
// only by calls that began while they bound.
#pragma once

#include "actors/kit/time.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace gristmill::rate_limiter {

class ConcurrencyLimit {
public:
  static constexpr std::uint32_t first = 128;
  static constexpr std::uint32_t unbounded = 1u << 20;

  // `most`: calls in flight that may never be exceeded; 0 = no such number.
  explicit ConcurrencyLimit(std::uint32_t most);
  void set_most(std::uint32_t most);

  std::uint32_t limit() const { return limit_; }
  // Whether another call may begin beside those in flight; a no is remembered: the limit binds.
  bool allows(std::uint32_t in_flight);

  // A call begins; what is returned is said again at its end.
  std::uint64_t begun();
  void answered(std::uint64_t cohort, Duration latency, Time now);
  // It ended in a way that says nothing about the server's speed.
  void ended_otherwise(std::uint64_t cohort, Time now);

  // The server says that it has too much; counts once for all calls of a burst.
  void overloaded(Time now);
  // A call brought no answer in its time: many of them are an overload, a single one is none.
  void timed_out(std::uint64_t cohort, Time now);

private:
  // Of the mean latency in seconds, as natural logarithm, with its standard error.
  struct Measurement {
    double ln_mean = 0, error = 0;
    std::uint32_t calls = 0;
    void add(const Measurement& other); // forgets slowly what is old
    double seconds() const;
  };
  struct Cohort {
    std::uint64_t id = 0;
    std::uint32_t begun = 0, in_flight = 0;
    std::uint32_t ended_otherwise = 0;
    std::vector<double> ended; // latency in seconds
  };

  static bool is_over(const Cohort& cohort);
  static Measurement measure(const Cohort& cohort);
  void conclude(Cohort& cohort, Time now);
  Cohort* find(std::uint64_t id);
  void measured(const Measurement& m, std::uint32_t in_flight, Time now);
  void rise(const Measurement& m, std::uint32_t in_flight, Time now);
  void watch(const Measurement& m, Time now);
  void compare(const Measurement& m, Time now);
  void try_other(double limit, Time now);
  void settle(double limit, std::optional<Measurement> there, Time next_trial);
  bool may_be(std::uint32_t limit, Time now) const;
  std::uint32_t bounded(double limit) const;

  std::uint32_t most_, limit_;
  bool rising_ = true;
  bool binding_ = false; // since it was last changed the limit has kept a call from beginning
  std::uint32_t in_flight_ = 0;
  std::uint64_t next_cohort_ = 1;
  std::vector<Cohort> cohorts_;      // open ones, oldest first
  bool strayed_ = false;             // the last measurement was far from what was known
  std::optional<Measurement> least_; // the shortest latency of late
  Time least_at_{};

  // steady: what was measured at the limit, and the trial of another
  std::optional<Measurement> steady_, trial_;
  std::uint32_t steady_limit_ = 0;
  bool trying_ = false, next_is_up_ = true;
  double stride_;
  Time try_at_{Time::min()};

  double timeouts_ = 0;   // their share of late
  std::uint32_t ceiling_; // where the server had too much
  Time ceiling_until_{Time::min()}, overloaded_at_{Time::min()};
};

} // namespace gristmill::rate_limiter
