#include "actors/kit/fair_share.hpp"

#include <algorithm>

namespace gristmill {

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

void FairShare::served(JobId job, double cost) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  auto& [share, time] = it->second;
  double& clock = clocks_[share.priority];
  time = std::max(time, clock - owed_max_ / share.weight);
  clock = std::max(clock, time);
  time += cost / share.weight;
}

bool FairShare::before(JobId a, JobId b) const {
  const auto in_a = jobs_.find(a), in_b = jobs_.find(b);
  if (in_a == jobs_.end() || in_b == jobs_.end()) return in_a != jobs_.end() || a < b;
  const Entry &x = in_a->second, &y = in_b->second;
  if (x.share.priority != y.share.priority) return x.share.priority > y.share.priority;
  return x.time != y.time ? x.time < y.time : a < b;
}

double FairShare::ahead(JobId a, JobId b) const {
  const auto in_a = jobs_.find(a), in_b = jobs_.find(b);
  if (in_a == jobs_.end() || in_b == jobs_.end()) return 0;
  const Entry &x = in_a->second, &y = in_b->second;
  return (x.time - y.time) * std::max(x.share.weight, y.share.weight);
}

} // namespace gristmill
