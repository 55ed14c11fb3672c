// DEBTS: what items owe for failures of which is not known yet whose fault they were. Another item
// that is answered at the endpoint decides: a time-out is the item's if that happened between the
// call's begin and ten seconds after its end; a call that was sent and met an endpoint's fault
// makes its item a suspect, however late the answer is. Invariant: every debt is looked at once.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace gristmill::supervisor {

class Debts {
public:
  enum class Kind : std::uint8_t {
    attempt,
    suspicion,
    slight_suspicion, // of a probe: the endpoint failed before, and perhaps still did
  };
  struct Debt {
    std::uint64_t item = 0;
    Kind kind = Kind::attempt;
  };
  static constexpr Duration decided_within = std::chrono::seconds{10};
  static constexpr std::size_t debts_max = 65'536, endpoints_max = 4'096;

  // A call ended in a time-out; true: the item pays at once, because another was answered
  // meanwhile.
  bool timed_out(EndpointId endpoint, std::uint64_t item, Time began, Time now) {
    Endpoint& at = of(endpoint);
    if (at.answered_at >= began && at.answered_at != Time::min()) return true;
    owe(at, {item, Kind::attempt, now + decided_within});
    return false;
  }
  void met_a_fault(EndpointId endpoint, std::uint64_t item, bool probe = false) {
    owe(of(endpoint), {item, probe ? Kind::slight_suspicion : Kind::suspicion, never});
  }
  // What falls due now that this item was answered there.
  std::vector<Debt> answered(EndpointId endpoint, std::uint64_t item, Time now) {
    Endpoint& at = of(endpoint);
    at.answered_at = now;
    std::vector<Debt> due;
    for (const Owed& owed : at.owed)
      if (owed.item != item && now <= owed.until) due.push_back({owed.item, owed.kind});
    at.owed.clear();
    return due;
  }
  std::size_t size() const {
    std::size_t all = endpoints_.size();
    for (const auto& [id, endpoint] : endpoints_) all += endpoint.owed.size();
    return all;
  }

private:
  struct Owed {
    std::uint64_t item;
    Kind kind;
    Time until; // an answer after that decides nothing
  };
  struct Endpoint {
    Time answered_at{Time::min()};
    std::deque<Owed> owed;
  };
  // Workers come and go with endpoints of their own: those that were quiet for longest are
  // forgotten.
  Endpoint& of(EndpointId id) {
    if (endpoints_.size() >= endpoints_max && !endpoints_.contains(id)) {
      auto quietest = endpoints_.begin();
      for (auto it = endpoints_.begin(); it != endpoints_.end(); ++it)
        if (it->second.answered_at < quietest->second.answered_at) quietest = it;
      endpoints_.erase(quietest);
    }
    return endpoints_[id];
  }
  static void owe(Endpoint& at, const Owed& owed) {
    if (at.owed.size() == debts_max) at.owed.pop_front();
    at.owed.push_back(owed);
  }

  std::map<EndpointId, Endpoint> endpoints_;
};

} // namespace gristmill::supervisor
