// SLIDING WINDOW: how much of a limit is taken in any window of time. A charge is held until a
// given time and then gone. Holds are kept in at most 1,000 buckets a window, each rounded up to
// its bucket's end, so memory does not follow the rate and rounding only ever takes permission
// away. Invariant: held() never understates what was charged and is not yet over.
#pragma once

#include "actors/kit/defaults.hpp"
#include "actors/kit/time.hpp"

#include <cstdint>
#include <deque>

namespace gristmill::rate_limiter {

class SlidingWindow {
public:
  // `amount_max` 0 = no limit. `hold`: how long a charge counts, from the moment it is made.
  SlidingWindow(std::uint64_t amount_max, Duration hold)
      : amount_max_{amount_max}, hold_{hold}, bucket_{defaults::bucket_of(hold)} {}

  bool limited() const { return amount_max_ != 0; }
  std::uint64_t amount_max() const { return amount_max_; }
  void set_amount_max(std::uint64_t amount) { amount_max_ = amount; }
  std::uint64_t held() const { return held_; }

  // Forgets what is over; to be called before the questions below.
  void advance(Time now);
  bool fits(std::uint64_t amount) const { return !limited() || held_ + amount <= amount_max_; }
  // When `amount` would fit if nothing else were charged.
  Time when_fits(std::uint64_t amount, Time now) const;

  // Returns the time until which the charge is held: its name for a refund.
  Time charge(std::uint64_t amount, Time now) { return charge_until(amount, now + hold_); }
  Time charge_until(std::uint64_t amount, Time until);
  void refund(std::uint64_t amount, Time until);

  Time end_of(Time until) const;            // of the bucket that holds a charge until then
  std::uint64_t held_until(Time end) const; // in the bucket that ends then
  Time newest() const { return buckets_.empty() ? Time::min() : buckets_.back().until; }

private:
  struct Bucket {
    Time until;
    std::uint64_t amount = 0;
  };

  std::uint64_t amount_max_;
  Duration hold_, bucket_;
  std::uint64_t held_ = 0;
  std::deque<Bucket> buckets_; // by time
};

} // namespace gristmill::rate_limiter
