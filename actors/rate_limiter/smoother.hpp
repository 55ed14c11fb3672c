// SMOOTHER: spreads a minute's allowance over its seconds, so that a server which enforces its
// limit with a second's burst has nothing to refuse. A token bucket whose level rises at `rate` up
// to `burst`; a call larger than the burst goes when the bucket is full and leaves a debt.
// Invariant: over any t seconds it lets through at most burst + rate * t, plus one call.
#pragma once

#include "actors/kit/time.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::rate_limiter {

class Smoother {
public:
  // Units of the rate: amounts per second. Rate 0 = no limit.
  Smoother(double rate, double burst, Time now)
      : rate_{rate}, burst_{std::max(burst, 1.0)}, level_{burst_}, at_{now} {}

  void advance(Time now) {
    if (rate_ == 0 || now <= at_) return;
    level_ = std::min(burst_, level_ + rate_ * to_seconds(now - at_));
    at_ = now;
  }
  bool fits(double amount) const { return rate_ == 0 || level_ >= std::min(amount, burst_); }
  Time when_fits(double amount, Time now) const {
    if (fits(amount)) return now;
    const double missing = std::min(amount, burst_) - level_;
    return now + Duration{static_cast<std::int64_t>(std::ceil(missing / rate_ * 1e9))};
  }
  void take(double amount) {
    if (rate_ != 0) level_ -= amount;
  }
  void give_back(double amount) {
    if (rate_ != 0) level_ = std::min(burst_, level_ + amount);
  }
  double rate() const { return rate_; }
  double burst() const { return burst_; }

private:
  double rate_, burst_, level_;
  Time at_;
};

} // namespace gristmill::rate_limiter
