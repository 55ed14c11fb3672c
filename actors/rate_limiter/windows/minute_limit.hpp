// MINUTE LIMIT: what of an account's calls, or of their tokens, may go in a minute. The window
// holds what went in the last one; the smoother spreads the rest over its seconds, at the least of
// what is configured, what the server says of its limit, and what its refusals teach. Invariant:
// what may go fits the window as configured, whatever anybody says of the rate.
#pragma once

#include "actors/rate_limiter/windows/learned_rate.hpp"
#include "actors/rate_limiter/windows/sliding_window.hpp"
#include "actors/rate_limiter/windows/smoother.hpp"
#include "actors/rate_limiter/windows/token_reserve.hpp"

#include <cstdint>
#include <optional>

namespace gristmill::rate_limiter {

class MinuteLimit {
public:
  // `most`: as configured; 0 = no limit.
  MinuteLimit(std::uint64_t most, Time now);
  // Another one from now on; what is charged stays charged.
  void set_most(std::uint64_t most, Time now);
  std::uint64_t most() const { return window_.amount_max(); }
  bool limited() const { return window_.limited(); }
  // Refusals have taught another rate.
  bool is_learned() const { return learned_.rate() != 0; }
  // So much may begin in a minute: as configured, or as refusals have taught.
  std::uint64_t per_minute() const;
  // What goes from now on, by itself.
  double burst() const { return smoother_.burst(); }
  double per_second() const { return smoother_.rate(); }

  // To be called before the questions below. `said`: by the server, of its limit, in units a
  // second; 0 = nothing.
  void advance(double said, Time now);
  void pace(double said, Time now); // … after a refusal
  // What the window holds, without the rest.
  std::uint64_t held(Time now);
  std::uint64_t held() const { return window_.held(); }
  Time newest() const { return window_.newest(); }

  // Nothing if so much may go now; else when it may.
  std::optional<Time> refuses(const Tokens& amount, Time now) const;
  // … and half of what may go at once is left beside it.
  bool has_plenty(const Tokens& amount) const {
    return window_.fits(amount.reserved) &&
           smoother_.fits(static_cast<double>(amount.paced) + burst() / 2);
  }
  // Returns the name of what it holds until then.
  Time draw(const Tokens& amount, Time until, Time now);
  // What was drawn at that time, as `name`, has come to `used`. Drawn at Time{} = in an earlier
  // life.
  void settle(const Tokens& drawn, std::uint64_t used, Time drawn_at, Time name, Time now);
  void assume_spent(std::uint64_t amount, Time until) { window_.charge_until(amount, until); }

  // The server has refused what was sent then, and by now is corrected to nothing. `slowly`: it
  // asked for a ramp.
  void refused(double amount, Time sent_at, bool slowly, Time now);
  // It took so much less than was said.
  void not_taken(double amount, Time sent_at) { learned_.corrected(-amount, sent_at); }

private:
  SlidingWindow window_;
  Smoother smoother_;
  LearnedRate learned_; // where the server takes less than the limit says
};

} // namespace gristmill::rate_limiter
