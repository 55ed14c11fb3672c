#include "actors/rate_limiter/windows/advertised_limit.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::rate_limiter {
namespace {

constexpr double windows_s[]{1, 60, 3'600, 86'400};
constexpr double fits_within = 0.25;  // of a limit's rate, what is measured
constexpr double correlated = 0.98;   // r^2 of reset and remaining
constexpr double remaining_apart = 4; // units between the least and the most that were seen
constexpr Duration held_most = std::chrono::seconds{60};

} // namespace

void AdvertisedLimit::heard(const protocol::LimitHint& hint, Time sent_at, Time now) {
  if (hint.limit <= 0) return; // some servers fill the header with 0 or -1
  if (hint.limit != limit_) {
    limit_ = hint.limit;
    count_ = 0;
    rate_ = 0;
  }
  if (hint.remaining < 0 || hint.remaining > hint.limit) return;
  remained_ |= hint.remaining > 0;
  if (hint.reset_ms < 0) return;
  samples_[count_++ % samples_most] = {static_cast<double>(hint.remaining),
                                       static_cast<double>(hint.reset_ms) / 1e3};
  if (const double measured = fitted(); measured > 0)
    for (const double window_s : windows_s)
      if (const double rate = static_cast<double>(limit_) / window_s;
          std::abs(measured / rate - 1) <= fits_within)
        rate_ = rate;
  if (hint.remaining > 0 || !remained_) return;
  // A bucket that fills steadily has the next unit soon, and says when it will be full.
  const Duration wait =
      rate_ > 0 ? from_seconds(1 / rate_) : Duration{std::chrono::milliseconds{hint.reset_ms}};
  held_until_ = std::max(held_until_, std::min(sent_at + wait, now + held_most));
}

// The slope of reset over remaining, where the two lie on a line.
double AdvertisedLimit::fitted() const {
  const std::size_t n = std::min(count_, samples_most);
  if (n < samples_least) return 0;
  double x = 0, y = 0;
  for (std::size_t i = 0; i < n; ++i) {
    x += samples_[i].remaining / static_cast<double>(n);
    y += samples_[i].reset_s / static_cast<double>(n);
  }
  double xx = 0, yy = 0, xy = 0, least = samples_[0].remaining, most = least;
  for (std::size_t i = 0; i < n; ++i) {
    const double dx = samples_[i].remaining - x, dy = samples_[i].reset_s - y;
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
    least = std::min(least, samples_[i].remaining);
    most = std::max(most, samples_[i].remaining);
  }
  if (most - least < remaining_apart || xy >= 0) return 0;
  if (xy * xy < correlated * xx * yy) return 0;
  return -xx / xy;
}

} // namespace gristmill::rate_limiter
