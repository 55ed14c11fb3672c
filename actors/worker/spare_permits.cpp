#include "actors/worker/spare_permits.hpp"

#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gristmill::worker {
namespace {

double left_after(Duration time) {
  return std::exp(-to_seconds(time) / to_seconds(SparePermits::rate_over));
}

} // namespace

void SparePermits::ended(std::size_t calls, Time now) {
  ended_ = static_cast<double>(calls) + (ended_ > 0 ? ended_ * left_after(now - ended_at_) : 0);
  ended_at_ = now;
}

void SparePermits::told_to_wait(Time until) {
  none_until_ = std::max(none_until_, until);
}

std::size_t SparePermits::most(Time now) const {
  if (now < none_until_ || ended_ <= 0) return 0;
  const double rate = ended_ * left_after(now - ended_at_) / to_seconds(rate_over);
  return static_cast<std::size_t>(rate * to_seconds(ahead_));
}

bool SparePermits::add(const protocol::Permit& permit, Time asked_at, Time now) {
  const bool ages = permit.life_ms != 0;
  const Duration life = std::chrono::milliseconds{permit.life_ms};
  const Time not_after = ages ? asked_at + life : never;
  const Time until = asked_at + (ages ? life / 2 : kept_most);
  if (now >= until) {
    told_to_wait(now + rests_for);
    return false;
  }
  spares_.push_back({permit, not_after, until});
  return true;
}

std::optional<SparePermits::Spare> SparePermits::next() {
  if (spares_.empty()) return std::nullopt;
  const Spare first = spares_.front();
  spares_.pop_front();
  return first;
}

std::optional<AttemptId> SparePermits::take(CallId call) {
  const auto it = std::find_if(spares_.begin(), spares_.end(),
                               [&](const Spare& spare) { return spare.permit.call == call; });
  if (it == spares_.end()) return std::nullopt;
  const AttemptId attempt = it->permit.attempt;
  spares_.erase(it);
  return attempt;
}

std::vector<protocol::Permit> SparePermits::take_unused(Time now) {
  std::vector<protocol::Permit> unused;
  if (now < next_due()) return unused;
  for (Spare& spare : spares_) {
    if (now < spare.until) continue;
    unused.push_back(spare.permit);
    spare.until = never; // that it is not given back again
  }
  if (!mutated("returned_permit_used"))
    std::erase_if(spares_, [](const Spare& spare) { return spare.until == never; });
  told_to_wait(now + rests_for);
  return unused;
}

std::vector<protocol::Permit> SparePermits::take_all() {
  std::vector<protocol::Permit> all;
  for (const Spare& spare : std::exchange(spares_, {})) all.push_back(spare.permit);
  return all;
}

Time SparePermits::next_due() const {
  Time due = never;
  for (const Spare& spare : spares_) due = std::min(due, spare.until);
  return due;
}

} // namespace gristmill::worker
