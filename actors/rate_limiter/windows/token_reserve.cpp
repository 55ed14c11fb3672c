#include "actors/rate_limiter/windows/token_reserve.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace gristmill::rate_limiter {
namespace {

constexpr double calls_least = 20;  // before that nothing is known
constexpr double calls_max = 4'096; // then their weight is halved
constexpr double news = 0.25;       // so much more than before is worth a note
constexpr std::string_view note_version = "1";
constexpr double tail = 0.001;     // of them may use more than their tail
constexpr double deviations = 3.5; // of many together; what is beyond is a debt
constexpr double seconds_min = 0.01;
// The first answers come from the calls that answer soonest, which are the short ones.
constexpr double caution = 20;
// Bounds that hardly differ say nothing of how use follows them.
constexpr double bound_variation_min = 0.05;

} // namespace

Tokens TokenReserve::of(std::uint64_t bound, std::uint64_t others) const {
  if (calls_ < calls_least) return bound;
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
  not_noted_ += 1;
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

template <class Self, class Visit> void TokenReserve::each_number(Self& self, Visit visit) {
  for (auto* number : {&self.calls_, &self.sums_.seconds, &self.sums_.bound, &self.sums_.used,
                       &self.sums_.bound_squared, &self.sums_.used_squared, &self.sums_.product,
                       &self.bound_max_, &self.bound_max_before_})
    visit(*number);
}

bool TokenReserve::has_news() const {
  return not_noted_ >= std::max(calls_least, calls_ * news);
}

// The numbers and then, of the ratios, NUMBER:SECONDS of those that were met.
std::string TokenReserve::note() {
  if (!has_news()) return {};
  not_noted_ = 0;
  std::string text{note_version};
  each_number(*this, [&text](double number) { text += fmt::format(" {}", number); });
  for (std::size_t i = 0; i < ratios_.size(); ++i)
    if (ratios_[i] > 0) text += fmt::format(" {}:{}", i, ratios_[i]);
  return text;
}

std::optional<TokenReserve> TokenReserve::of_note(std::string_view text) {
  if (!text.starts_with(note_version)) return std::nullopt;
  text.remove_prefix(note_version.size());
  bool whole = true;
  const auto read = [&](char before, auto& number) {
    if (!text.starts_with(before)) return whole = false;
    const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
    whole =
        whole && error == std::errc{} && std::isfinite(static_cast<double>(number)) && number >= 0;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return whole;
  };
  TokenReserve learned;
  each_number(learned, [&](double& number) { read(' ', number); });
  double rest = learned.sums_.seconds; // that no ratio has named yet
  while (whole && !text.empty()) {
    std::size_t ratio = 0;
    double seconds = 0;
    if (!read(' ', ratio) || !read(':', seconds) || ratio >= learned.ratios_.size())
      return std::nullopt;
    learned.ratios_[ratio] = seconds;
    rest -= seconds;
  }
  const Sums& sums = learned.sums_;
  whole = whole && sums.seconds > 0 && std::abs(rest) < sums.seconds * 1e-6;
  if (!whole || sums.bound <= 0 || learned.calls_ < 1) return std::nullopt;
  learned.conclude();
  return learned;
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
