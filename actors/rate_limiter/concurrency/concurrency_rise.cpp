// CONCURRENCY LIMIT while it rises: from what nobody knows, or from what was found before, to where
// calls begin to queue.
#include "actors/rate_limiter/concurrency/concurrency_limit.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

constexpr double risen_by = 1.5, doubled = 2;
constexpr double risen_errors = 3, no_luck_errors = 5;
constexpr double fall_most = 1.4; // of ln(limit) at once
constexpr double stride_of_few = 2;
// Standard errors by which later calls of the first ones take longer.
constexpr double doubtful_errors = 2, sure_errors = 3.5;

} // namespace

void ConcurrencyLimit::set_most(std::uint32_t most) {
  const bool bound = limit_ == std::exchange(most_, most == 0 ? unbounded : most);
  if (limit_ > most_) settle(most_, std::nullopt, try_at_);
  if (!bound || limit_ >= most_) return;
  // It was not the server that asked for less.
  limit_ = std::max(limit_, start());
  rising_ = true;
  binding_ = trying_ = false;
  strayed_before_ = 0;
}

void ConcurrencyLimit::resumed(const FoundLimit& found, Time now) {
  if (found.limit == 0) return;
  if (!found.rising) {
    settle(found.limit, std::nullopt, now + try_every);
    wary_ = wary_of_found;
    return;
  }
  slow_.resumed(found.limit);
  limit_ = bounded(found.limit);
}

std::optional<FoundLimit> ConcurrencyLimit::found() const {
  if (shrunk_) return std::nullopt;
  if (!rising_) return FoundLimit{trying_ ? steady_limit_ : limit_, false};
  const std::uint32_t proven = std::min(slow_.proven(), limit_);
  return proven > first ? std::optional{FoundLimit{proven, true}} : std::nullopt;
}

void ConcurrencyLimit::grow(const Flight& call, Duration latency, Time now) {
  const bool of_concern = to_seconds(latency) >= of_concern_s;
  const bool longer = of_concern && least_ && to_seconds(latency) > risen_by * least_->seconds();
  if (told_ || !binding_ || longer) return;
  std::uint32_t wanted = bounded(slow_.answered(limit_, call.in_flight));
  // Halfway to what was too many: each try may bring the server down.
  if (now < ceiling_until_)
    wanted = std::min(wanted, std::max(1u, (slow_.proven() + ceiling_) / 2));
  // Without a baseline only their order tells of a queue.
  in_doubt_ &= !least_;
  if (of_concern && !least_ && queues_by_order(now)) return;
  if (!in_doubt_ && wanted > limit_) limit_ = wanted;
}

bool ConcurrencyLimit::queues_by_order(Time now) {
  if (!slow_.has_heard()) return false;
  const std::vector<OrderedCall> calls = cohorts_.oldest(now);
  const double errors = longer_by_order(calls);
  in_doubt_ = errors > doubtful_errors;
  if (errors < sure_errors) return false;
  settle(std::min<double>(limit_, slots_by_order(calls) * room), std::nullopt, now);
  next_is_up_ = false;
  // What few calls show is less near, and a lower limit for a while costs few.
  stride_ = limit_ < LatencyCohorts::size ? stride_of_few : stride_least;
  known_until_ = now; // there is no baseline yet
  return true;
}

void ConcurrencyLimit::rise(const Measured& m, Time now) {
  if (!least_) {
    least_ = m.latency;
    return;
  }
  const double risen = m.latency.ln_mean - least_->ln_mean;
  const double unsure = std::hypot(m.latency.error, least_->error);
  const bool of_concern = m.latency.seconds() >= of_concern_s;
  const bool has_risen = of_concern && risen >= std::max(std::log(risen_by), risen_errors * unsure);
  const bool beyond_luck =
      of_concern && risen >= std::max(std::log(doubled), no_luck_errors * unsure);
  if (strays_again(m, has_risen) || beyond_luck) {
    settle(m.in_flight * std::exp(unsure - std::min(risen, fall_most)) * room, std::nullopt, now);
    next_is_up_ = false;
    stride_ = stride_least;
    known_until_ = now; // perhaps the first calls stood in a queue already
  } else if (m.in_flight >= most_ && !has_risen) {
    // Calls that were taken up while their number doubled: what they took is the baseline.
    known_until_ = most_ >= 2 * first ? now + least_holds : now;
    settle(limit_, std::nullopt, now + try_every);
  }
  // All of them together: the least of many is low by luck.
  if (!has_risen) least_->add(m.latency);
}

} // namespace gristmill::rate_limiter
