#include "actors/rate_limiter/windows/minute_limit.hpp"

#include "actors/kit/defaults.hpp"
#include "actors/rate_limiter/windows/hold.hpp"

namespace gristmill::rate_limiter {
namespace {

Duration minute_hold() {
  return hold_of(defaults::minute_window);
}

double rate_of(std::uint64_t per_minute) {
  return static_cast<double>(per_minute) / to_seconds(minute_hold());
}

Smoother smoother(std::uint64_t per_minute, Time now) {
  const double rate = rate_of(per_minute);
  return {rate, rate * defaults::burst_seconds, now};
}

} // namespace

MinuteLimit::MinuteLimit(std::uint64_t most, Time now)
    : window_{most, minute_hold()}, smoother_{smoother(most, now)} {}

void MinuteLimit::set_most(std::uint64_t most, Time now) {
  if (most == window_.amount_max()) return;
  window_.set_amount_max(most);
  smoother_ = smoother(most, now);
  smoother_.take(smoother_.burst()); // whatever went before, at another rate
}

std::uint64_t MinuteLimit::per_minute() const {
  if (!is_learned()) return most();
  return static_cast<std::uint64_t>(learned_.rate() * to_seconds(minute_hold()));
}

void MinuteLimit::advance(double said, Time now) {
  window_.advance(now);
  pace(said, now);
  smoother_.advance(now);
}

void MinuteLimit::pace(double said, Time now) {
  const double configured = rate_of(most());
  said = said * to_seconds(defaults::minute_window) / to_seconds(minute_hold());
  const double fastest = configured == 0 || (said > 0 && said < configured) ? said : configured;
  learned_.advance(fastest, now);
  const double rate = is_learned() ? learned_.rate() : fastest;
  if (rate != smoother_.rate()) smoother_.set_rate(rate, rate * defaults::burst_seconds, now);
}

std::uint64_t MinuteLimit::held(Time now) {
  window_.advance(now);
  return window_.held();
}

std::optional<Time> MinuteLimit::refuses(const Tokens& amount, Time now) const {
  if (!window_.fits(amount.reserved)) return window_.when_fits(amount.reserved, now);
  const auto paced = static_cast<double>(amount.paced);
  if (!smoother_.fits(paced)) return smoother_.when_fits(paced, now);
  return std::nullopt;
}

Time MinuteLimit::draw(const Tokens& amount, Time until, Time now) {
  smoother_.take(static_cast<double>(amount.paced));
  learned_.sent(static_cast<double>(amount.paced), now);
  return window_.charge_until(amount.reserved, until);
}

void MinuteLimit::settle(const Tokens& drawn, std::uint64_t used, Time drawn_at, Time name,
                         Time now) {
  const auto [reserved, paced] = drawn;
  if (drawn_at != Time{})
    learned_.corrected(static_cast<double>(used) - static_cast<double>(paced), drawn_at);
  if (used > paced) {
    smoother_.take(static_cast<double>(used - paced));
  } else {
    smoother_.give_back(static_cast<double>(paced - used), drawn_at);
  }
  if (used <= reserved) return window_.refund(reserved - used, name);
  // The excess is a debt, to the second in which the call began.
  window_.charge_until(used - reserved, name > now ? name : now + minute_hold());
}

void MinuteLimit::refused(double amount, Time sent_at, bool slowly, Time now) {
  learned_.refused(amount, sent_at, smoother_.rate(), slowly, now);
}

} // namespace gristmill::rate_limiter
