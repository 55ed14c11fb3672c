// A deadline as users say it.
#include "cli/terminal/deadline.hpp"

#include <catch2/catch.hpp>

namespace deadline_test {

using namespace gristmill;
using namespace gristmill::cli;

TEST_CASE("a deadline is a span from now or a time to come") {
  constexpr std::int64_t now = 1'767'225'600; // 2026-01-01T00:00:00Z
  const auto is = [&](const char* text) { return deadline_of(text, now).value_or(0); };
  CHECK(is("1s") == now + 1);
  CHECK(is("30m") == now + 1'800);
  CHECK(is("2h") == now + 7'200);
  CHECK(is("1d") == now + 86'400);
  CHECK(is("2026-01-01T00:00:01Z") == now + 1);
  CHECK(is("2026-01-01T01:00+01:00") == 0); // now
  CHECK(is("2026-01-01T01:01+01:00") == now + 60);
  CHECK(is("2025-12-31 23:00:10-0100") == now + 10);
  CHECK(is("2027-01-01T00:00") > now);
  for (const char* text : {"", "0s", "5", "5w", "-5s", "1.5h", "s", "99999999999d", "tomorrow",
                           "2026-01-01", "2026-13-01T00:00", "2026-02-01T00:00+1",
                           "2026-02-01T00:00 Z", "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"}) {
    CAPTURE(text);
    const auto refused = deadline_of(text, now);
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Catch::StartsWith("--deadline: expected"));
  }
}

} // namespace deadline_test
