#include "actors/rate_limiter/choice/prefix_groups.hpp"

#include <algorithm>
#include <iterator>

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

std::size_t PrefixGroups::at_home(EndpointId endpoint) const {
  const auto found = at_home_.find(endpoint);
  return found == at_home_.end() ? 0 : found->second;
}

void PrefixGroups::leave_home(const Group& group) {
  if (group.homes.empty()) return;
  const auto home = at_home_.find(group.homes.front());
  if (--home->second == 0) at_home_.erase(home);
}

void PrefixGroups::forget(std::list<Group>::iterator group) {
  leave_home(*group);
  by_prefix_.erase(group->prefix);
  groups_.erase(group);
}

void PrefixGroups::went(std::uint64_t prefix, EndpointId to, Time now) {
  if (const auto known = by_prefix_.find(prefix); known != by_prefix_.end()) {
    groups_.splice(groups_.begin(), groups_, known->second);
  } else {
    if (groups_.size() == groups_most) forget(std::prev(groups_.end()));
    groups_.push_front({prefix, {}, false, now + priming_most});
    by_prefix_[prefix] = groups_.begin();
  }
  Group& group = groups_.front();
  std::vector<EndpointId>& homes = group.homes;
  if (std::find(homes.begin(), homes.end(), to) != homes.end()) return;
  leave_home(group);
  if (homes.size() == homes_most) homes.erase(homes.begin());
  homes.push_back(to);
  ++at_home_[homes.front()];
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
  leave_home(group);
  std::erase(group.homes, at);
  if (!group.homes.empty()) {
    ++at_home_[group.homes.front()];
    return;
  }
  forget(found->second);
}

} // namespace gristmill::rate_limiter
