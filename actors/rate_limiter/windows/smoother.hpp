// SMOOTHER: spreads a minute's allowance over its seconds, so that a server which enforces its
// limit with a second's burst has nothing to refuse. A token bucket whose level rises at `rate` up
// to `burst`; a call larger than the burst goes when the bucket is full and leaves a debt.
// What is given back counts from when it was taken: of it only as much as the bucket would have
// held since then, because the server's bucket was full as well and let the rest run over.
// Invariant: over any t seconds it lets through at most burst + rate * t, plus one call, not
// counting what is given back.
#pragma once

#include "actors/kit/time.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

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
    if (highest_.empty()) highest_.resize(spans);
    Highest& h = highest_[slot(now)];
    if (h.number != number(now)) h = {number(now), level_};
    h.level = std::max(h.level, level_);
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
  void give_back(double amount, Time taken_at) {
    if (rate_ == 0) return;
    // The span in which it was taken began before that, when the level was still higher.
    const std::int64_t after = number(taken_at), until = number(at_);
    double highest = level_;
    for (const Highest& h : highest_)
      if (h.number > after && h.number <= until) highest = std::max(highest, h.level);
    const double back = std::clamp(back_up_to * burst_ - highest, 0.0, amount);
    for (Highest& h : highest_)
      if (h.number > after && h.number <= until) h.level += back;
    level_ = std::min(burst_, level_ + back);
  }
  // Another rate from now on; whatever had piled up at the other one is gone.
  void set_rate(double rate, double burst, Time now) {
    advance(now);
    level_ = std::min(rate_ == 0 ? 0.0 : level_, 0.0);
    rate_ = rate;
    burst_ = std::max(burst, 1.0);
    at_ = now;
  }
  double rate() const { return rate_; }
  double burst() const { return burst_; }

private:
  struct Highest {
    std::int64_t number = -1;
    double level = 0;
  };
  // The server's bucket is larger than ours; a part of the difference serves what comes back.
  static constexpr double back_up_to = 1.25;
  static constexpr Duration span = std::chrono::milliseconds{100};
  static constexpr std::size_t spans = 600; // a minute: what was taken before counts from there
  static std::int64_t number(Time at) { return at.time_since_epoch() / span; }
  static std::size_t slot(Time at) { return static_cast<std::size_t>(number(at)) % spans; }

  double rate_, burst_, level_;
  Time at_;
  std::vector<Highest> highest_; // level in each span of the last minute; none before there are any
};

} // namespace gristmill::rate_limiter
