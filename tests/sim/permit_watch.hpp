// PERMIT WATCH: what a worker's process asked for, was permitted, and gave back, as its frames show
// it. Invariant: a permit with a life ends that long after the Need left that it answers, whatever
// the worker makes of it.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/node/codec.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace gristmill::sim {

class PermitWatch {
public:
  // A frame of the worker, by its own clock.
  void said(std::string_view bytes, Time now) {
    const auto frame = protocol::decode(bytes, protocol::Direction::from_worker);
    if (!frame) return;
    for (const protocol::Message& message : frame->messages) {
      if (const auto* need = std::get_if<protocol::Need>(&message)) asked_at_[need->nonce] = now;
      if (const auto* returned = std::get_if<protocol::Returned>(&message))
        for (const auto& entry : returned->calls)
          if (entry.attempt) returned_.insert(entry.attempt);
    }
  }
  // A frame that it gets.
  void heard(std::string_view bytes) {
    const auto frame = protocol::decode(bytes, protocol::Direction::from_coordinator);
    if (!frame) return;
    for (const protocol::Message& message : frame->messages) {
      const auto* permits = std::get_if<protocol::Permits>(&message);
      const auto asked = permits ? asked_at_.find(permits->nonce) : asked_at_.end();
      if (asked == asked_at_.end()) continue;
      for (const protocol::Permit& permit : permits->permits)
        if (permit.life_ms != 0)
          ends_[permit.attempt] = asked->second + std::chrono::milliseconds{permit.life_ms};
    }
  }
  // Why the call may not leave now; empty: it may.
  std::string_view why_not(AttemptId attempt, Time now) const {
    if (returned_.contains(attempt)) return "its permit was given back";
    const auto end = ends_.find(attempt);
    return end != ends_.end() && now >= end->second ? "its permit has ended" : std::string_view{};
  }

private:
  std::map<Nonce, Time> asked_at_;
  std::map<AttemptId, Time> ends_;
  std::set<AttemptId> returned_;
};

} // namespace gristmill::sim
