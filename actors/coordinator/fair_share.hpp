// FAIR SHARE: whose turn it is among jobs that want the same thing. Higher priorities go first, and
// within one priority each job is served in proportion to its weight while it has work: start-time
// fair queueing (Goyal, Vin, Cheng, 1996) with virtual time = cost / weight, one clock for each
// priority. Cost is whatever is scarce; the caller says how much. Invariant: a job that had nothing to
// do is owed nothing for that time, but at most `owed_max`.
#pragma once

#include "protocol/ids.hpp"

#include <map>

namespace gristmill::coordinator {

struct Share {
  double weight = 1;
  std::uint32_t priority = 0; // higher goes first
  bool operator==(const Share&) const = default;
};

class FairShare {
public:
  // In units of cost; for a caller who does not hear of every idle time.
  explicit FairShare(double owed_max = 0) : owed_max_{owed_max} {}

  void set(JobId job, const Share& share);
  void forget(JobId job) { jobs_.erase(job); }
  const Share& of(JobId job) const;

  // It has work from now on.
  void joins(JobId job);
  void served(JobId job, double cost);
  // Whether `a` goes before `b`, where both have work.
  bool before(JobId a, JobId b) const;

private:
  struct Entry {
    Share share;
    double time = 0; // virtual: what it was served, by its weight
  };
  std::map<JobId, Entry> jobs_;
  std::map<std::uint32_t, double> clocks_; // by priority: virtual time of who was served last
  double owed_max_;
};

} // namespace gristmill::coordinator
