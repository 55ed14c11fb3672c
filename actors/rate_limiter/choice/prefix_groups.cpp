#include "actors/rate_limiter/choice/prefix_groups.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {

std::vector<EndpointId> PrefixGroups::homes(std::uint64_t prefix) const {
  const auto found = by_prefix_.find(prefix);
  return found == by_prefix_.end() ? std::vector<EndpointId>{} : found->second->homes;
}

Time PrefixGroups::priming_until(std::uint64_t prefix) const {
  const auto found = by_prefix_.find(prefix);
  return found == by_prefix_.end() || found->second->primed ? Time::min()
                                                            : found->second->priming_until;
}

void PrefixGroups::went(std::uint64_t prefix, EndpointId to, Time now) {
  if (const auto known = by_prefix_.find(prefix); known != by_prefix_.end()) {
    groups_.splice(groups_.begin(), groups_, known->second);
  } else {
    if (groups_.size() == groups_most) {
      by_prefix_.erase(groups_.back().prefix);
      groups_.pop_back();
    }
    groups_.push_front({prefix, {}, false, now + priming_most});
    by_prefix_[prefix] = groups_.begin();
  }
  std::vector<EndpointId>& homes = groups_.front().homes;
  if (std::find(homes.begin(), homes.end(), to) != homes.end()) return;
  if (homes.size() == homes_most) homes.erase(homes.begin());
  homes.push_back(to);
}

void PrefixGroups::ended(std::uint64_t prefix, EndpointId at, bool answered) {
  const auto found = by_prefix_.find(prefix);
  if (found == by_prefix_.end()) return;
  Group& group = *found->second;
  group.priming_until = Time::min();
  if (answered) {
    group.primed = true;
    return;
  }
  // An endpoint that fails before it ever answered has read nothing.
  if (group.primed) return;
  std::erase(group.homes, at);
  if (!group.homes.empty()) return;
  groups_.erase(found->second);
  by_prefix_.erase(found);
}

} // namespace gristmill::rate_limiter
