// How long commits take of late, which decides how long blocks are valid.
#include "actors/rate_limiter/blocks/commit_time.hpp"

#include <catch2/catch.hpp>

namespace commit_time_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

Time commit(CommitTime& time, Time now, Duration took) {
  time.asked(now);
  time.durable(now + took);
  return now + took;
}

} // namespace

TEST_CASE("the time of commits rises at once and falls slowly") {
  CommitTime time;
  CHECK(time.of_late(start) == 0s);
  Time now = commit(time, start, 5ms);
  CHECK(time.of_late(now) == 5ms);
  now = commit(time, now, 2s);
  CHECK(time.of_late(now) == 2s);
  for (int n = 0; n < 10; ++n) now = commit(time, now, 5ms);
  CHECK(time.of_late(now) > 1'950ms);
  CHECK(to_seconds(time.of_late(now + 30s)) == Approx(1).epsilon(0.01));
  now = commit(time, now + 10min, 5ms);
  CHECK(time.of_late(now) == 5ms);
}

TEST_CASE("commits that take as long each time are reckoned with at no less") {
  CommitTime time;
  Time now = start;
  for (int n = 0; n < 20; ++n) {
    now = commit(time, now, 3s);
    CHECK(time.of_late(now) == 3s);
  }
}

TEST_CASE(
    "a commit that lasts counts before it has ended, and several are measured in their order") {
  CommitTime time;
  time.asked(start);
  time.asked(start + 1s);
  CHECK(time.of_late(start + 7s) == 7s);
  time.durable(start + 7s);
  CHECK(time.of_late(start + 7s) == 7s);
  time.durable(start + 9s);
  CHECK(time.of_late(start + 9s) == 8s);
  time.durable(start + 90s); // nothing was asked for
  CHECK(time.of_late(start + 90s) < 4s);
}

TEST_CASE("the time of commits has a bound") {
  CommitTime time;
  const Duration took = GENERATE(as<Duration>{}, 29s, 30s, 31s, 1h);
  const Time now = commit(time, start, took);
  CHECK(time.of_late(now) == std::min<Duration>(took, 30s));
}

TEST_CASE("long commits are remembered until there have been several others") {
  CommitTime time;
  Time now = commit(time, start, 20s);
  for (int n = 0; n < 4; ++n) now = commit(time, now, 10s);
  CHECK(time.of_late(now) > 16s);
}

} // namespace commit_time_test
