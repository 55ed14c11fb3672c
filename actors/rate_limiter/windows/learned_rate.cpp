#include "actors/rate_limiter/windows/learned_rate.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::rate_limiter {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration measured_over = seconds{10};
constexpr Duration measured_min = seconds{3}; // of less than that nothing can be measured
constexpr Duration refused_within = std::chrono::milliseconds{750}; // a call that is refused
constexpr double below = 0.95;      // of what the server takes: it has emptied its bucket
constexpr double near = 0.97;       // of the ceiling: from there on growth is a probe
constexpr double calls_min = 5;     // of fewer nothing can be measured either
constexpr double calls_wanted = 40; // or longer, until there are so many
constexpr Duration measured_max = seconds{60};
constexpr double cut_first = 0.07, cut_max = 0.3;
constexpr double step_first = 0.03, step_max = 0.5, recovery = 1.2;
constexpr Duration grow_every = seconds{10};
constexpr Duration probe_first = seconds{20}, probe_max = minutes{10};
constexpr double least_left = 0.25;  // of a rate that is lowered
constexpr double same_ceiling = 0.1; // relative difference of two that are one
constexpr double used_min = 0.7;     // of the rate, for it to grow
constexpr double forget_above = 8;   // ceilings, where no limit is configured
// Providers that ask for a ramp advise at most half as much again in a quarter of an hour.
constexpr double ramp_cut = 0.3, ramp_step = 0.025;
constexpr Duration ramp_every = seconds{60}, ramp_lasts = minutes{15};

} // namespace

double& LearnedRate::bucket_of(Time at) {
  const std::int64_t number = at.time_since_epoch() / bucket;
  Bucket& b = sent_[static_cast<std::size_t>(number) % buckets];
  if (b.number > number) return spare_;
  if (b.number < number) b = {number, 0};
  return b.amount;
}

double LearnedRate::taken_since(Time from, Time now) const {
  const std::int64_t first = from.time_since_epoch() / bucket,
                     last = now.time_since_epoch() / bucket;
  double sum = 0;
  for (const Bucket& b : sent_)
    if (b.number >= first && b.number <= last) sum += b.amount;
  return std::max(sum, 0.0);
}

void LearnedRate::sent(double amount, Time now) {
  first_ = std::min(first_, now);
  bucket_of(now) += amount;
}

void LearnedRate::corrected(double by, Time sent_at) {
  bucket_of(sent_at) += by;
  if (span_ == Duration::zero() || sent_at < from_ || sent_at > lowered_at_) return;
  // What was measured was not so: a call that seemed to be taken was refused as well, or used less.
  const bool as_measured = rate_ == below_ceiling();
  ceiling_ = std::max(taken_since(from_, lowered_at_) / to_seconds(span_), at_least(lowered_at_));
  if (as_measured) rate_ = below_ceiling();
}

void LearnedRate::refused(double amount, Time sent_at, double rate, bool slowly, Time now) {
  if (sent_at <= lowered_at_) return; // of a burst that was heard already
  if (rate_ != 0 && !slowly && takes_nothing(amount, now)) return;
  const double lower = lowered(amount, rate, now);
  if (rate == 0 && lower == 0) return; // nothing can be said yet: it is measured on
  rate_ = lower;
  if (slowly && rate_ != 0) {
    rate_ = std::max((1 - ramp_cut) * (rate == 0 ? rate_ : rate), amount / 60);
    slow_until_ = now + ramp_lasts;
  }
  step_ = step_first;
  lowered_at_ = now;
  grow_at_ = now + (slowly ? ramp_every : grow_every);
}

// Every call of late was refused, but for the latest, whose refusal may be on its way.
bool LearnedRate::takes_nothing(double amount, Time now) const {
  const Duration calls = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>{calls_min * amount / rate_});
  return taken_since(now - std::clamp(calls, measured_min, measured_max), now - refused_within) <
         amount / 2;
}

// What the server takes is measured between two bursts, when its bucket was empty at the first; or
// from the very beginning, when it was full of about a second's worth. In between it is guessed,
// more boldly each time.
double LearnedRate::lowered(double amount, double rate, Time now) {
  const bool first = lowered_at_ == Time::min();
  // However many are refused, it is not brought down to nothing at once.
  least_ = rate == 0 ? amount : std::max(rate * least_left, amount / 60);
  from_ = measured_from(first ? first_ : lowered_at_, amount, now);
  span_ = now - from_;
  if (first || rate == 0) span_ = std::max<Duration>(span_, seconds{1});
  rate_then_ = rate;
  const double taken = taken_since(from_, now);
  if (taken < calls_min * amount || (!first && rate != 0 && span_ < measured_min)) {
    span_ = Duration::zero();
    if (rate == 0) return 0; // nothing can be said yet
    cut_ = std::min(cut_ == 0 ? cut_first : 2 * cut_, cut_max);
    return std::max({(1 - cut_) * rate, std::min(at_least(now), (1 - cut_first) * rate), least_});
  }
  cut_ = 0;
  const double takes = std::max(taken / to_seconds(span_), at_least(now));
  const bool same = std::abs(takes - ceiling_) < same_ceiling * ceiling_;
  probe_after_ = same ? std::min<Duration>(2 * probe_after_, probe_max) : probe_first;
  ceiling_ = same ? (ceiling_ + takes) / 2 : takes; // what we sent below it says little
  return below_ceiling();
}

// What it certainly takes, if its bucket holds no more than a second's worth: where we sent less
// than it takes for most of the time, the average says nothing.
double LearnedRate::at_least(Time now) const {
  double rate = 0;
  for (const Duration last : {Duration{seconds{1}}, Duration{seconds{3}}})
    rate = std::max(rate, taken_since(now - last, now) / to_seconds(last + seconds{1}));
  return rate;
}

double LearnedRate::below_ceiling() const {
  const double lower = rate_then_ == 0 ? ceiling_ : std::min(ceiling_, rate_then_);
  return std::max(below * lower, least_);
}

// As short as possible, because a server may change its mind, and long enough to count calls.
Time LearnedRate::measured_from(Time from, double amount, Time now) const {
  Time at = std::max(from, now - measured_over);
  while (at > from && at > now - measured_max && taken_since(at, now) < calls_wanted * amount)
    at = std::max({from, now - measured_max, at - measured_over});
  return at;
}

void LearnedRate::advance(double most, Time now) {
  if (rate_ == 0) return;
  if (now >= grow_at_) grow(now);
  if (most != 0 ? rate_ >= most : rate_ > forget_above * ceiling_ && ceiling_ > 0) {
    rate_ = 0;
    grow_at_ = Time::max();
  }
}

void LearnedRate::grow(Time now) {
  const bool slowly = now < slow_until_;
  grow_at_ = now + (slowly ? ramp_every : grow_every);
  const double used = taken_since(now - measured_over, now) / to_seconds(measured_over);
  if (used < used_min * rate_) return;
  if (slowly) {
    rate_ *= 1 + ramp_step;
  } else if (rate_ < near * ceiling_) {
    rate_ = std::min(recovery * rate_, near * ceiling_);
  } else if (now >= lowered_at_ + probe_after_) {
    rate_ *= 1 + step_;
    step_ = std::min(2 * step_, step_max);
  }
}

} // namespace gristmill::rate_limiter
