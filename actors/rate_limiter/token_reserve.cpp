#include "actors/rate_limiter/token_reserve.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::rate_limiter {
namespace {

constexpr double calls_min = 20;    // before that nothing is known
constexpr double calls_max = 4'096; // then their weight is halved
constexpr double tail = 0.001;      // of them may use more than their tail
constexpr double deviations = 3.5;  // of many together; what is beyond is a debt
constexpr double seconds_min = 0.01;
// The first answers come from the calls that answer soonest, which are the short ones.
constexpr double caution = 20;
// Bounds that hardly differ say nothing of how use follows them.
constexpr double bound_variation_min = 0.05;

} // namespace

Tokens TokenReserve::of(std::uint64_t bound, std::uint64_t others) const {
  if (calls_ < calls_min) return bound;
  const double all = static_cast<double>(bound), n = static_cast<double>(others) + 1;
  const double known = std::min(all, std::max(bound_max_, bound_max_before_));
  const double expected = std::clamp(base_ + slope_ * known, 0.0, known);
  const double share = spread_ / std::sqrt(n);
  // The endpoint's calls together may stray by chance as usual, and one of them to its tail.
  const double alone = std::max(tail_ * known - expected, 0.0) / n;
  const auto tokens = [&](double estimate) {
    const double sum = estimate * margin_ + (all - known);
    return sum < all ? std::max<std::uint64_t>(static_cast<std::uint64_t>(std::ceil(sum)), 1)
                     : bound;
  };
  return {tokens(expected + std::max(deviations * share, alone)), tokens(expected + share)};
}

void TokenReserve::learn(std::uint64_t bound, std::uint64_t used, Duration took) {
  if (bound == 0) return;
  const double b = static_cast<double>(bound), u = static_cast<double>(used);
  const double w = std::max(to_seconds(took), seconds_min);
  calls_ += 1;
  sums_.seconds += w;
  sums_.bound += w * b;
  sums_.used += w * u;
  sums_.bound_squared += w * b * b;
  sums_.used_squared += w * u * u;
  sums_.product += w * b * u;
  bound_max_ = std::max(bound_max_, b);
  const double halved = used == 0 ? halvings : -std::log2(u / b);
  const auto last = static_cast<double>(ratios_.size() - 1);
  ratios_[static_cast<std::size_t>(std::clamp(halved * buckets_per_halving, 0.0, last))] += w;
  if (calls_ >= calls_max) fade();
  conclude();
}

void TokenReserve::fade() {
  for (double* sum : {&calls_, &sums_.seconds, &sums_.bound, &sums_.used, &sums_.bound_squared,
                      &sums_.used_squared, &sums_.product})
    *sum /= 2;
  for (double& seconds : ratios_) seconds /= 2;
  bound_max_before_ = bound_max_;
  bound_max_ = 0;
}

void TokenReserve::conclude() {
  const double n = sums_.seconds, bound = sums_.bound / n, used = sums_.used / n;
  const double bound_variance = std::max(sums_.bound_squared / n - bound * bound, 0.0);
  const double covariance = sums_.product / n - bound * used;
  const bool varied = std::sqrt(bound_variance) > bound_variation_min * bound;
  slope_ = varied ? std::clamp(covariance / bound_variance, 0.0, 1.0) : used / bound;
  base_ = used - slope_ * bound;
  const double variance = sums_.used_squared / n - used * used - 2 * slope_ * covariance +
                          slope_ * slope_ * bound_variance;
  spread_ = std::sqrt(std::max(variance, 0.0));
  tail_ = tail_ratio();
  margin_ = 1 + caution / calls_;
}

// The upper end of the bucket that the 99.9 % quantile falls into.
double TokenReserve::tail_ratio() const {
  double above = 0;
  for (std::size_t i = 0; i < ratios_.size(); ++i) {
    above += ratios_[i];
    if (above > tail * sums_.seconds)
      return std::exp2(-static_cast<double>(i) / buckets_per_halving);
  }
  return 1;
}

} // namespace gristmill::rate_limiter
