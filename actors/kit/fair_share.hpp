// FAIR SHARE: which of the jobs that want the same thing was given the least of it. Higher
// priorities go first, and within one priority each job gets its part by weight: start-time fair
// queueing (Goyal, Vin, Cheng, 1996) with virtual time = cost / weight, one clock for each
// priority. Cost is whatever is scarce; the caller says how much, and who has work.
// Invariant: a job that had nothing to do, or could not go, is owed no more than `owed_max` for it.
#pragma once

#include "protocol/ids.hpp"

#include <algorithm>
#include <map>

namespace gristmill {

struct Share {
  double weight = 1;
  std::uint32_t priority = 50; // higher goes first
  bool operator==(const Share&) const = default;
};

class FairShare {
public:
  explicit FairShare(double owed_max = 0) : owed_max_{owed_max} {}

  void set(JobId job, const Share& share);
  void forget(JobId job) { jobs_.erase(job); }
  const Share& of(JobId job) const;

  std::size_t size() const { return jobs_.size(); }

  void served(JobId job, double cost);
  // Where it stands in line; another only once it is served or has another share.
  struct Place {
    std::uint32_t priority = 0;
    double time = 0;
    JobId job;
    bool operator<(const Place& b) const {
      if (priority != b.priority) return priority > b.priority;
      return time != b.time ? time < b.time : job < b.job;
    }
  };
  Place place(JobId job) const;
  // How much more `a` was given than its part beside `b`, which has its priority; below 0: less.
  double ahead(JobId a, JobId b) const;

private:
  struct Entry {
    Share share;
    double time = 0; // virtual: what it was given, by its weight
  };
  std::map<JobId, Entry> jobs_;
  std::map<std::uint32_t, double> clocks_; // by priority: the latest time at which one was served
  double owed_max_;
};

inline void FairShare::set(JobId job, const Share& share) {
  const auto [it, added] = jobs_.try_emplace(job);
  Entry& entry = it->second;
  // Another priority has another clock, by which nothing is owed.
  if (added || entry.share.priority != share.priority) entry.time = clocks_[share.priority];
  entry.share = share;
}

inline const Share& FairShare::of(JobId job) const {
  static const Share none;
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? none : it->second.share;
}

inline void FairShare::served(JobId job, double cost) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  auto& [share, time] = it->second;
  double& clock = clocks_[share.priority];
  time = std::max(time, clock - owed_max_ / share.weight);
  clock = std::max(clock, time);
  time += cost / share.weight;
}

inline FairShare::Place FairShare::place(JobId job) const {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return {0, 0, job};
  return {it->second.share.priority, it->second.time, job};
}

inline double FairShare::ahead(JobId a, JobId b) const {
  const auto in_a = jobs_.find(a), in_b = jobs_.find(b);
  if (in_a == jobs_.end() || in_b == jobs_.end()) return 0;
  const Entry &x = in_a->second, &y = in_b->second;
  return (x.time - y.time) * std::max(x.share.weight, y.share.weight);
}

} // namespace gristmill
