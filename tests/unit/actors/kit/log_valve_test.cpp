// The log valve: a flood of one name is thinned out and counted, and hides nothing else.
#include "actors/kit/log_valve.hpp"

#include <catch2/catch.hpp>

namespace log_valve_test {

using namespace gristmill;

namespace {

constexpr auto burst = static_cast<std::uint64_t>(LogValve::burst);
constexpr auto per_second = static_cast<std::uint64_t>(LogValve::per_second);

std::uint64_t admitted(LogValve& valve, std::uint64_t events, Time now) {
  std::uint64_t written = 0;
  for (std::uint64_t i = 0; i < events; ++i)
    if (valve.admit("frame.bad", now)) ++written;
  return written;
}

} // namespace

TEST_CASE("A burst of events is written, one more is not", "[log]") {
  LogValve valve;
  CHECK(admitted(valve, burst - 1, {}) == burst - 1);
  CHECK(valve.admit("frame.bad", {}) == std::uint64_t{0});
  CHECK_FALSE(valve.admit("frame.bad", {}));
}

TEST_CASE("What was left out is counted in the next line of its name", "[log]") {
  LogValve valve;
  admitted(valve, burst + 7, {});
  CHECK_FALSE(valve.admit("frame.bad", Time{from_seconds(0.5 / LogValve::per_second)}));
  CHECK(valve.admit("frame.bad", Time{std::chrono::seconds{1}}) == std::uint64_t{8});
  CHECK(valve.admit("frame.bad", Time{std::chrono::seconds{1}}) == std::uint64_t{0});
}

TEST_CASE("A flood is written at its rate, and ends with a whole burst again", "[log]") {
  LogValve valve;
  admitted(valve, 2 * burst, {});
  std::uint64_t written = 0;
  for (int second = 1; second <= 100; ++second)
    written += admitted(valve, burst, Time{std::chrono::seconds{second}});
  CHECK(written == 100 * per_second);
  CHECK(admitted(valve, 2 * burst, Time{std::chrono::hours{1}}) == burst);
}

TEST_CASE("A flood of one name leaves the others alone", "[log]") {
  LogValve valve;
  admitted(valve, 2 * burst, {});
  CHECK(valve.admit("session.opened", {}) == std::uint64_t{0});
}

} // namespace log_valve_test
