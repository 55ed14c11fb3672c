#include "actors/rate_limiter/concurrency/queue_limit.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::rate_limiter {

namespace {
constexpr double may_wait = 1.0 / 16;   // of what runs
constexpr double beyond_running = 1.25; // at most, of what is known to run
} // namespace

double QueueLimit::told(const protocol::QueueReport& report, const Ours& ours, Time now) {
  last_ = report;
  last_at_ = now;
  const auto waiting = static_cast<double>(report.waiting);
  // Of a server that does not say what it runs: those of ours that cannot be in its queue.
  const double passed = std::max(ours.in_flight - waiting, 0.0);
  const double running = report.running < 0 ? passed : static_cast<double>(report.running);
  if (2 * (running + waiting) < ours.in_flight) return ours.limit;
  decides_until_ = now + fresh_for;
  const double rest = std::max(1.0, std::floor(running * may_wait));
  if (waiting > 0) {
    step_ = step_least;
    has_waited_ = true;
  }
  if (waiting > rest) return lower(std::max(running, passed) + rest, ours, now);
  waiting_since_.reset();
  return waiting > 0 ? ours.limit : raise(report, ours, now);
}

double QueueLimit::lower(double most, const Ours& ours, Time now) {
  enough_ = waiting_since_ ? std::max(enough_, most) : most;
  if (!waiting_since_) waiting_since_ = now;
  if (now < *waiting_since_ + stays_after) return ours.limit;
  waiting_since_.reset();
  return std::min<double>(ours.limit, enough_);
}

// While nobody has ever waited each report may raise it at once, by a part of what is known to run:
// that is proof enough. Else only now and then, because calls may be on their way to a queue; by
// more each time in a row, because a server that was found too small once may have grown.
double QueueLimit::raise(const protocol::QueueReport& report, const Ours& ours, Time now) {
  if (!ours.binds) return ours.limit;
  const double running = std::clamp<double>(static_cast<double>(report.running), 0, ours.in_flight);
  const double proven = std::max(std::floor(beyond_running * running), running + 1);
  if (!has_waited_ && proven > ours.limit) {
    raised_at_ = now;
    return proven;
  }
  if (raised_at_ && now < *raised_at_ + stays_after) return ours.limit;
  raised_at_ = now;
  const double by = std::max(1.0, ours.limit * step_);
  step_ = std::min(2 * step_, step_most);
  return ours.limit + by;
}

std::optional<protocol::QueueReport> QueueLimit::fresh(Time now) const {
  return last_ && now < last_at_ + fresh_for ? last_ : std::nullopt;
}

} // namespace gristmill::rate_limiter
