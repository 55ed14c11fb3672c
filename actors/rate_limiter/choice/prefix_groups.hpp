// PREFIX GROUPS: where calls that begin alike have gone, because a server that has read a long
// beginning once is quicker with the next call that has it. The first call of a group primes its
// endpoint; the others wait for its answer, for at most `priming_most`. Invariant: what is
// remembered is bounded, and to forget a group costs time at most.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

namespace gristmill::rate_limiter {

class PrefixGroups {
public:
  static constexpr Duration priming_most = std::chrono::seconds{1};
  static constexpr std::size_t groups_most = 8'192, homes_most = 8;

  // Where calls of the group have gone before, the first of these first.
  std::vector<EndpointId> homes(std::uint64_t prefix) const;
  // How many groups have gone there first.
  std::size_t at_home(EndpointId endpoint) const;
  // Until when the group waits for its first call; nothing is waited for: Time::min().
  Time priming_until(std::uint64_t prefix) const;

  void went(std::uint64_t prefix, EndpointId to, Time now);
  // An answer came from there, or something else: nobody waits for it any longer.
  void ended(std::uint64_t prefix, EndpointId at, bool answered);
  std::size_t size() const { return groups_.size(); }

private:
  struct Group {
    std::uint64_t prefix = 0;
    std::vector<EndpointId> homes;
    bool primed = false;
    Time priming_until{Time::min()};
  };
  void forget(std::list<Group>::iterator group);
  void leave_home(const Group& group);

  std::list<Group> groups_; // the one that went last is the first
  std::unordered_map<std::uint64_t, std::list<Group>::iterator> by_prefix_;
  std::unordered_map<EndpointId, std::size_t> at_home_; // groups, by their first home
};

} // namespace gristmill::rate_limiter
