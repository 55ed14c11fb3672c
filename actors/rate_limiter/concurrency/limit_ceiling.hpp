// LIMIT CEILING: where a server had too much, below which its limit stays for a while. It has had
// too much when it says so, when too many calls bring no answer in their time, or when it goes down
// twice within a short time while about as many calls were in flight as may be: once is no matter
// of how many, again it may be what it dies of. Invariant: never below 2, so that a limit of 1
// always may be.
#pragma once

#include "actors/kit/time.hpp"

#include <cstdint>

namespace gristmill::rate_limiter {

class LimitCeiling {
public:
  bool allows(std::uint32_t limit, Time now) const { return limit < at_ || !holds(now); }
  bool holds(Time now) const { return now < until_; }
  std::uint32_t at() const { return at_; } // while it holds

  // The server says that it has too much, under that limit: whether that is news. A burst is one.
  bool overloaded(std::uint32_t limit, Time now);
  // It went down while so many calls were in flight: whether that is too many.
  bool went_down(std::uint32_t in_flight, std::uint32_t limit, Time now);
  void answered();
  bool timed_out(); // whether it is an overload

private:
  std::uint32_t at_ = 1u << 20;
  Time until_{Time::min()};
  Time overloaded_at_{Time::min()}, down_at_{Time::min()};
  Duration down_holds_{}; // how long the last one of that kind held
  double timeouts_ = 0;   // their share of calls of late
};

} // namespace gristmill::rate_limiter
