#include "actors/rate_limiter/concurrency/limit_ceiling.hpp"

#include "actors/rate_limiter/concurrency/latency_cohorts.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {
namespace {

constexpr auto holds_overloaded = std::chrono::seconds{60};
constexpr auto burst = std::chrono::seconds{1};
constexpr double timeouts_most = 0.1;      // share of calls
constexpr double as_many_as_may_be = 0.75; // of the limit
constexpr Duration down_again_within = std::chrono::minutes{2};
// Then more is tried once more, which may cost another death.
constexpr Duration down_holds_least = std::chrono::seconds{10},
                   down_holds_most = std::chrono::hours{1};

} // namespace

bool LimitCeiling::overloaded(std::uint32_t limit, Time now) {
  if (overloaded_at_ != Time::min() && now < overloaded_at_ + burst) return false;
  overloaded_at_ = now;
  at_ = std::max(2u, limit);
  until_ = now + holds_overloaded;
  return true;
}

bool LimitCeiling::went_down(std::uint32_t in_flight, std::uint32_t limit, Time now) {
  if (in_flight < as_many_as_may_be * limit) return false;
  const bool again = down_at_ != Time::min() && now < down_at_ + down_again_within;
  if (down_at_ != Time::min() && now >= down_at_ + down_holds_most) down_holds_ = {};
  down_at_ = now;
  if (!again) return false;
  down_holds_ = std::clamp(2 * down_holds_, down_holds_least, down_holds_most);
  at_ = std::max(2u, in_flight);
  until_ = now + down_holds_;
  return true;
}

void LimitCeiling::answered() {
  timeouts_ -= timeouts_ / LatencyCohorts::size;
}

// A single one is none.
bool LimitCeiling::timed_out() {
  timeouts_ += (1 - timeouts_) / LatencyCohorts::size;
  if (timeouts_ < timeouts_most) return false;
  timeouts_ = 0;
  return true;
}

} // namespace gristmill::rate_limiter
