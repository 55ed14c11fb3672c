// Time as the machine's rooms see it: nanoseconds of CLOCK_BOOTTIME, which goes on during suspend
// and never jumps when somebody sets the wall clock. Rooms take `now` as an argument; only shells
// and windows read the clock (kit/clock.hpp). Invariant: nothing here reads a clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace gristmill {

struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};

using Duration = BootClock::duration;
using Time = BootClock::time_point;

inline constexpr Time never = Time::max();

constexpr Duration from_seconds(double seconds) {
  return Duration{static_cast<std::int64_t>(seconds * 1e9)};
}
constexpr double to_seconds(Duration d) {
  return static_cast<double>(d.count()) / 1e9;
}
constexpr std::int64_t to_ms(Duration d) {
  return d.count() / 1'000'000;
}
constexpr Time time_from_ns(std::int64_t ns) {
  return Time{Duration{ns}};
}
constexpr std::int64_t to_ns(Time t) {
  return t.time_since_epoch().count();
}

} // namespace gristmill
