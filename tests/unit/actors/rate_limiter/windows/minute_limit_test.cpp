// What of an account's calls or tokens may go in a minute: the window, the smoother and the rates
// that a server says or teaches, together.
#include "actors/rate_limiter/windows/minute_limit.hpp"

#include "actors/kit/defaults.hpp"

#include <catch2/catch.hpp>

namespace minute_limit_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
const Duration hold = defaults::hold_of(defaults::minute_window);

// Takes all that goes by ones until then; returns how much that was.
std::uint64_t take_until(MinuteLimit& limit, Time until, double said = 0) {
  std::uint64_t taken = 0;
  for (Time now = start; now < until; now += 10ms) {
    limit.advance(said, now);
    for (; !limit.refuses(1, now); ++taken) limit.draw(1, now + hold, now);
  }
  return taken;
}

} // namespace

TEST_CASE("without a limit everything goes, and is held all the same") {
  MinuteLimit limit{0, start};
  CHECK_FALSE(limit.limited());
  limit.advance(0, start);
  CHECK_FALSE(limit.refuses(1'000'000'000, start));
  limit.draw(1'000, start + hold, start);
  CHECK(limit.held() == 1'000);
  limit.set_most(1'000, start);
  limit.advance(0, start + 10s);
  CHECK(limit.refuses(1, start + 10s));
  CHECK(limit.held(start + hold + 1s) == 0);
}

TEST_CASE("no window of a minute takes more than its limit, and none waits for all of it at once") {
  MinuteLimit limit{600, start};
  const std::uint64_t first = take_until(limit, start + 1s);
  CHECK(first > 0);
  CHECK(first < 30);
  MinuteLimit whole{600, start};
  CHECK(take_until(whole, start + 60s) <= 600);
  CHECK(whole.per_minute() == 600);
  CHECK_FALSE(whole.is_learned());
}

TEST_CASE(
    "what the server says paces it where that is less, and alone where nothing is configured") {
  MinuteLimit said{600, start}, more{600, start}, alone{0, start};
  const auto taken = static_cast<double>(take_until(said, start + 30s, 2.0));
  CHECK(taken == Approx(60).margin(12));
  CHECK(take_until(more, start + 30s, 100.0) > 200);
  CHECK(static_cast<double>(take_until(alone, start + 30s, 2.0)) == Approx(60).margin(12));
}

TEST_CASE("what a call did not use is free again, what it used beyond is a debt") {
  const auto [used, held] =
      GENERATE(table<std::uint64_t, std::uint64_t>({{0, 0}, {40, 40}, {100, 100}, {130, 130}}));
  MinuteLimit limit{1'000, start};
  limit.advance(0, start);
  const Time name = limit.draw(100, start + hold, start);
  limit.advance(0, start + 1s);
  limit.settle(100, used, start, name, start + 1s);
  CHECK(limit.held() == held);
  CHECK(limit.held(name) == 0); // also the debt ends with its call
}

TEST_CASE("refusals teach a lower rate, and the window stays as it is configured") {
  MinuteLimit limit{60'000, start};
  const std::uint64_t unrefused = take_until(limit, start + 5s);
  REQUIRE(unrefused > 1'000);
  const Time now = start + 5s;
  limit.advance(0, now);
  for (int n = 0; n < 10; ++n) {
    limit.not_taken(1, now - 10ms);
    limit.refused(1, now - 10ms, false, now);
  }
  limit.pace(0, now);
  CHECK(limit.is_learned());
  CHECK(limit.per_minute() < 60'000);
  CHECK(limit.most() == 60'000);
  CHECK(limit.per_second() < 60'000 / to_seconds(hold));
}

} // namespace minute_limit_test
