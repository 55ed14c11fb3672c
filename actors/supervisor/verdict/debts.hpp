// DEBTS: failures of which it is not yet known whose fault they were, and what the part will owe if
// it was its own. Another part that is answered at the endpoint decides. A time-out counts against
// its part if the other answer came between the call's begin and ten seconds after its end. A call
// that was sent and met an endpoint's fault makes its part a suspect, however late the other answer
// comes. Invariant: every debt is settled once.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <algorithm>
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
    PartId part;
    Kind kind = Kind::attempt;
  };
  static constexpr Duration decided_within = std::chrono::seconds{10};
  static constexpr std::size_t debts_max = 65'536, endpoints_max = 4'096;

  // A call ended in a time-out; true: the part pays at once, because another was answered
  // meanwhile.
  bool timed_out(EndpointId endpoint, const PartId& part, Time began, Time now) {
    Endpoint& at = of(endpoint);
    if (at.answered_at >= began && at.answered_at != Time::min()) return true;
    owe(at, {part, Kind::attempt, now + decided_within});
    return false;
  }
  void met_a_fault(EndpointId endpoint, const PartId& part, bool probe = false) {
    owe(of(endpoint), {part, probe ? Kind::slight_suspicion : Kind::suspicion, never});
  }
  // What falls due now that these parts were answered there.
  std::vector<Debt> answered(EndpointId endpoint, const std::vector<PartId>& parts, Time now) {
    Endpoint& at = of(endpoint);
    at.answered_at = now;
    std::vector<Debt> due;
    for (const Owed& owed : at.owed)
      if (now <= owed.until && std::find(parts.begin(), parts.end(), owed.part) == parts.end())
        due.push_back({owed.part, owed.kind});
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
    PartId part;
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
