// LEARNED RATE: what a server takes where that is less than configured, or where nobody knows. It
// hears what is sent and what is refused. A burst of refusals is one event: what was taken in the
// seconds before it is what the server takes, and the rate goes a little below. Then it grows
// again, first slowly, then faster, and near the ceiling that it remembers seldom. Of a rate that
// is not used up nothing is learned, nor while nothing at all is taken: a window that is used up,
// or an outage, ends by itself. Invariant: one refusal lowers the rate at most once, and none of a
// call that was sent before the last lowering does.
#pragma once

#include "actors/kit/time.hpp"

#include <array>
#include <cstdint>

namespace gristmill::rate_limiter {

class LearnedRate {
public:
  // Amounts per second, calls or tokens; 0 = no limit, here and below.
  double rate() const { return rate_; }

  void sent(double amount, Time now);
  // The call that was sent then took so much more, or less, than was said; or was never sent.
  void corrected(double by, Time sent_at);
  // The call of that amount, by now corrected to nothing, was refused. `rate`: the one that held.
  // `slowly`: the server asked for a slow ramp.
  void refused(double amount, Time sent_at, double rate, bool slowly, Time now);
  // Grows when it is time. Above `most` there is nothing left to learn.
  void advance(double most, Time now);

private:
  static constexpr Duration bucket = std::chrono::milliseconds{250};
  static constexpr std::size_t buckets = 256;
  double taken_since(Time from, Time now) const;
  double& bucket_of(Time at);
  Time measured_from(Time from, double amount, Time now) const;
  bool takes_nothing(double amount, Time now) const;
  double lowered(double amount, double rate, Time now);
  double at_least(Time now) const;
  double below_ceiling() const;
  void grow(Time now);

  struct Bucket {
    std::int64_t number = -1;
    double amount = 0;
  };
  std::array<Bucket, buckets> sent_{};
  double spare_ = 0; // for what is too old to be counted
  Time first_{Time::max()};

  double rate_ = 0;
  double ceiling_ = 0; // what the server took when it last refused
  // How that was measured: from when, for how long, and under which rate.
  Time from_{};
  Duration span_{};
  double rate_then_ = 0;
  double least_ = 0;
  Time lowered_at_{Time::min()}, grow_at_{Time::max()};
  Duration probe_after_{};
  double step_ = 0, cut_ = 0;
  Time slow_until_{Time::min()};
};

} // namespace gristmill::rate_limiter
