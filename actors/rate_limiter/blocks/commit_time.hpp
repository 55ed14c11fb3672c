// COMMIT TIME: how long the journal takes of late, from the moment at which something is handed to
// it until it is durable. It rises at once and falls slowly: who reckons with too long a time is
// ready too early, with too short a time too late. Invariant: never less than the write that is
// under way has taken so far, never more than defaults::commit_time_max.
#pragma once

#include "actors/kit/defaults.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

namespace gristmill::rate_limiter {

class CommitTime {
public:
  void asked(Time now) { asked_.push_back(now); }
  // What was asked for first is durable: the journal keeps the order.
  void durable(Time now) {
    if (asked_.empty()) return;
    longest_ = of_late(now);
    at_ = now;
    asked_.pop_front();
  }
  Duration of_late(Time now) const {
    // Long ones are seen rarely: they are remembered for several of their kind.
    const Duration half = std::max<Duration>(defaults::commit_time_half, 8 * longest_);
    const double halves = to_seconds(now - at_) / to_seconds(half);
    const Duration before = longest_ == Duration::zero()
                                ? longest_
                                : from_seconds(to_seconds(longest_) * std::exp2(-halves));
    const Duration so_far = asked_.empty() ? Duration::zero() : now - asked_.front();
    return std::min(std::max(before, so_far), defaults::commit_time_max);
  }

private:
  Duration longest_{};
  Time at_{};
  std::deque<Time> asked_; // not durable yet
};

} // namespace gristmill::rate_limiter
