#include "actors/rate_limiter/concurrency/call_order.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::rate_limiter {
namespace {

constexpr double equal_within = 0.22; // of ln(seconds): a quarter of the latency
constexpr std::size_t first_ones = 8; // whose latency has least of the queue in it

// Whether `a` takes longer than `b`, as far as that is known.
bool is_longer(const OrderedCall& a, const OrderedCall& b) {
  return b.ended && a.ln_seconds > b.ln_seconds + equal_within;
}

} // namespace

double longer_by_order(const std::vector<OrderedCall>& calls) {
  const auto n = static_cast<double>(calls.size());
  if (calls.size() < 3) return 0;
  double along = 0, scores = 0, places = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    double score = 0;
    for (const OrderedCall& other : calls)
      score += is_longer(calls[i], other) ? 1 : is_longer(other, calls[i]) ? -1 : 0;
    const double place = static_cast<double>(i) - (n - 1) / 2;
    along += score * place;
    scores += score * score;
    places += place * place;
  }
  if (scores == 0) return 0; // all take the same
  return along / std::sqrt(scores * places) * std::sqrt(n - 1);
}

// A call that began as number p of a burst and took x was answered when p were: p / x a second. The
// most of these, because answers may come in gusts; times how long a call takes by itself.
double slots_by_order(const std::vector<OrderedCall>& calls) {
  double most = 0, alone = 0, known = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!calls[i].ended) continue;
    const double seconds = std::exp(calls[i].ln_seconds);
    most = std::max(most, static_cast<double>(i + 1) / seconds);
    if (i >= first_ones) continue;
    alone += seconds;
    known += 1;
  }
  return known == 0 ? 0 : most * alone / known;
}

} // namespace gristmill::rate_limiter
