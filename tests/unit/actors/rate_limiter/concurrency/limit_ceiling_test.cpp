// Where a server had too much, and for how long more is not tried.
#include "actors/rate_limiter/concurrency/limit_ceiling.hpp"

#include <catch2/catch.hpp>

namespace limit_ceiling_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {
const Time start = time_from_ns(0) + 1h;
} // namespace

TEST_CASE("nothing is too much before a server has said so") {
  const LimitCeiling ceiling;
  CHECK_FALSE(ceiling.holds(start));
  CHECK(ceiling.allows(1'000'000, start));
}

TEST_CASE("what was too much is for a minute, and a burst says it once") {
  LimitCeiling ceiling;
  CHECK(ceiling.overloaded(10, start));
  CHECK_FALSE(ceiling.overloaded(8, start + 999ms));
  CHECK(ceiling.allows(9, start + 59s));
  CHECK_FALSE(ceiling.allows(10, start + 59s));
  CHECK(ceiling.allows(10, start + 60s));
  CHECK(ceiling.overloaded(8, start + 1s));
  CHECK_FALSE(ceiling.allows(8, start + 60s));
  LimitCeiling of_one;
  CHECK(of_one.overloaded(1, start));
  CHECK(of_one.allows(1, start));
}

TEST_CASE(
    "to go down is too much when it happens again soon, and then for twice as long each time") {
  LimitCeiling ceiling;
  CHECK_FALSE(ceiling.went_down(10, 10, start));
  CHECK_FALSE(ceiling.went_down(7, 10, start + 1s)); // too few to be the reason
  Time now = start;
  for (const Duration holds : {10s, 20s, 40s}) {
    now += 100s;
    CHECK(ceiling.went_down(10, 10, now));
    CHECK_FALSE(ceiling.allows(10, now + holds - 1ns));
    CHECK(ceiling.allows(10, now + holds));
  }
  now += 2min;
  CHECK_FALSE(ceiling.went_down(10, 10, now)); // no longer soon
}

TEST_CASE("many calls without an answer are an overload, a few among answers are none") {
  LimitCeiling few, many;
  for (int n = 0; n < 100; ++n) {
    for (int answers = 0; answers < 19; ++answers) few.answered();
    CHECK_FALSE(few.timed_out());
  }
  int timeouts = 0;
  for (; !many.timed_out(); ++timeouts) CHECK(timeouts < 10);
  CHECK(timeouts >= 2);
  CHECK_FALSE(many.timed_out()); // they count anew
}

} // namespace limit_ceiling_test
