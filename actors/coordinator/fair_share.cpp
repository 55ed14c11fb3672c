#include "actors/coordinator/fair_share.hpp"

#include <algorithm>

namespace gristmill::coordinator {

void FairShare::set(JobId job, const Share& share) {
  const auto [it, added] = jobs_.try_emplace(job);
  Entry& entry = it->second;
  // Another priority has another clock, by which nothing is owed.
  if (added || entry.share.priority != share.priority) entry.time = clocks_[share.priority];
  entry.share = share;
}

const Share& FairShare::of(JobId job) const {
  static const Share none;
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? none : it->second.share;
}

void FairShare::joins(JobId job) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  Entry& entry = it->second;
  entry.time = std::max(entry.time, clocks_[entry.share.priority] - owed_max_ / entry.share.weight);
}

void FairShare::served(JobId job, double cost) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  Entry& entry = it->second;
  double& clock = clocks_[entry.share.priority];
  clock = std::max(clock, entry.time);
  entry.time += cost / entry.share.weight;
}

bool FairShare::before(JobId a, JobId b) const {
  const auto in_a = jobs_.find(a), in_b = jobs_.find(b);
  if (in_a == jobs_.end() || in_b == jobs_.end()) return in_a != jobs_.end() || a < b;
  const Entry &x = in_a->second, &y = in_b->second;
  if (x.share.priority != y.share.priority) return x.share.priority > y.share.priority;
  return x.time != y.time ? x.time < y.time : a < b;
}

} // namespace gristmill::coordinator
