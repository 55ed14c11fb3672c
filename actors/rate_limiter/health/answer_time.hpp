// ANSWER TIME: how long an endpoint takes for an answer, of late; what endpoints of one pool are
// compared by, beside their headroom. What has not been heard for long fades, so that an endpoint
// that was slow is tried again. Invariant: it is an average of latencies, or less.
#pragma once

#include "actors/kit/time.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::rate_limiter {

class AnswerTime {
public:
  void heard(Duration latency, Time now) {
    const double before = seconds(now);
    calls_ = std::min(calls_ + 1, calls_remembered);
    seconds_ = before + (to_seconds(latency) - before) / calls_;
    heard_at_ = now;
  }
  // 0 = nothing is known.
  double seconds(Time now) const {
    if (calls_ == 0) return 0;
    return seconds_ * std::exp2(-to_seconds(now - heard_at_) / fades_by_half_s);
  }

private:
  static constexpr double calls_remembered = 32, fades_by_half_s = 30;
  double calls_ = 0, seconds_ = 0;
  Time heard_at_{};
};

} // namespace gristmill::rate_limiter
