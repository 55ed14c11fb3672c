#include "actors/rate_limiter/windows/sliding_window.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {

void SlidingWindow::advance(Time now) {
  while (!buckets_.empty() && buckets_.front().until <= now) {
    held_ -= buckets_.front().amount;
    buckets_.pop_front();
  }
}

Time SlidingWindow::when_fits(std::uint64_t amount, Time now) const {
  if (fits(amount)) return now;
  if (amount > amount_max_) return never;
  std::uint64_t left = held_;
  for (const Bucket& bucket : buckets_) {
    left -= bucket.amount;
    if (left + amount <= amount_max_) return bucket.until;
  }
  return now;
}

Time SlidingWindow::end_of(Time until) const {
  const auto ns = until.time_since_epoch().count(), step = bucket_.count();
  return Time{Duration{(ns + step - 1) / step * step}};
}

std::uint64_t SlidingWindow::held_until(Time end) const {
  const auto at = std::lower_bound(buckets_.begin(), buckets_.end(), end,
                                   [](const Bucket& b, Time t) { return b.until < t; });
  return at == buckets_.end() || at->until != end ? 0 : at->amount;
}

Time SlidingWindow::charge_until(std::uint64_t amount, Time until) {
  const Time end = end_of(until);
  const auto at = std::lower_bound(buckets_.begin(), buckets_.end(), end,
                                   [](const Bucket& b, Time t) { return b.until < t; });
  if (at != buckets_.end() && at->until == end) {
    at->amount += amount;
  } else {
    buckets_.insert(at, {end, amount});
  }
  held_ += amount;
  return end;
}

void SlidingWindow::refund(std::uint64_t amount, Time until) {
  const auto at = std::lower_bound(buckets_.begin(), buckets_.end(), until,
                                   [](const Bucket& b, Time t) { return b.until < t; });
  if (at == buckets_.end() || at->until != until) return; // over already
  const std::uint64_t back = std::min(amount, at->amount);
  at->amount -= back;
  held_ -= back;
}

} // namespace gristmill::rate_limiter
