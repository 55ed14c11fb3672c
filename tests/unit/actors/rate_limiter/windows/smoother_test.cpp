// How a minute's allowance is spread over its seconds.
#include "actors/rate_limiter/windows/smoother.hpp"

#include "actors/kit/random.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace smoother_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

struct Call {
  Time at;
  double amount;
};

// The most by which any stretch of calls exceeds what `rate` yields over its time.
double largest_burst(const std::vector<Call>& calls, double rate) {
  double worst = 0;
  for (std::size_t first = 0; first < calls.size(); ++first) {
    double sum = 0;
    for (std::size_t last = first; last < calls.size(); ++last) {
      sum += calls[last].amount;
      worst = std::max(worst, sum - rate * to_seconds(calls[last].at - calls[first].at));
    }
  }
  return worst;
}

} // namespace

TEST_CASE("a smoother begins full and lets its burst through at once") {
  Smoother smoother{10, 5, start};
  for (int i = 0; i < 5; ++i) {
    REQUIRE(smoother.fits(1));
    smoother.take(1);
  }
  CHECK_FALSE(smoother.fits(1));
  smoother.advance(start + 99ms);
  CHECK_FALSE(smoother.fits(1));
  smoother.advance(start + 101ms);
  CHECK(smoother.fits(1));
}

TEST_CASE("a smoother without a rate lets everything through") {
  Smoother smoother{0, 0, start};
  smoother.take(1e12);
  CHECK(smoother.fits(1e12));
  CHECK(smoother.when_fits(1e12, start) == start);
}

TEST_CASE("a burst is one call at least, however small the rate") {
  Smoother smoother{0.1, 0.05, start};
  CHECK(smoother.burst() == 1);
  CHECK(smoother.fits(1));
  smoother.take(1);
  smoother.advance(start + 9'900ms);
  CHECK_FALSE(smoother.fits(1));
  smoother.advance(start + 10'100ms);
  CHECK(smoother.fits(1));
}

TEST_CASE("a smoother says when a call fits") {
  const double rate = GENERATE(0.3, 1.0, 9.907, 1'000.0, 123'456.7);
  const double amount = GENERATE(1.0, 3.0, 50.0);
  CAPTURE(rate, amount);
  Smoother smoother{rate, 4, start};
  smoother.take(4);
  const Time when = smoother.when_fits(amount, start);
  smoother.advance(when - 1us);
  CHECK_FALSE(smoother.fits(amount));
  smoother.advance(when + 1us);
  CHECK(smoother.fits(amount));
}

TEST_CASE("a call larger than the burst needs a full bucket and leaves a debt") {
  Smoother smoother{10, 5, start};
  smoother.take(1);
  CHECK_FALSE(smoother.fits(25));
  smoother.advance(start + 101ms);
  REQUIRE(smoother.fits(25));
  smoother.take(25);
  smoother.advance(start + 2s);
  CHECK_FALSE(smoother.fits(1));
  smoother.advance(start + 2'250ms);
  CHECK(smoother.fits(1));
}

TEST_CASE("what is given back fills no more than the burst") {
  Smoother smoother{10, 5, start};
  smoother.take(2);
  smoother.give_back(100, start);
  CHECK(smoother.fits(5));
  smoother.take(5);
  CHECK_FALSE(smoother.fits(1));
}

TEST_CASE("what is given back counts from when it was taken") {
  Smoother smoother{10, 5, start};
  smoother.take(5);
  const Duration since = GENERATE(150ms, 300ms, 500ms, 5s, 2min);
  CAPTURE(since.count());
  for (Time now = start; now < start + since; now += 50ms) smoother.advance(now);
  smoother.advance(start + since);
  smoother.take(4);
  smoother.give_back(5, start);
  // Not taken at all, the five would have left a full bucket, and a quarter of it is lent at most:
  // 5 - 4 + 1.25, whenever it is known.
  CHECK(smoother.fits(2.24));
  CHECK_FALSE(smoother.fits(2.26));
}

TEST_CASE("several that come back share what the bucket would have held") {
  Smoother smoother{10, 5, start};
  smoother.take(3);
  smoother.take(2);
  smoother.advance(start + 400ms); // 4 of 5
  smoother.take(4);
  smoother.give_back(3, start);
  smoother.give_back(2, start);
  CHECK(smoother.fits(2.2)); // not 5: only 1 + 1.25 had room
  CHECK_FALSE(smoother.fits(2.3));
}

TEST_CASE("another rate begins with nothing piled up, and with the debts of before") {
  const double taken = GENERATE(0.0, 5.0, 15.0);
  Smoother smoother{10, 5, start};
  smoother.take(taken);
  smoother.set_rate(2, 1, start);
  CHECK(smoother.rate() == 2);
  const Duration first = from_seconds((std::max(taken - 5, 0.0) + 1) / 2);
  smoother.advance(start + first - 10ms);
  CHECK_FALSE(smoother.fits(1));
  smoother.advance(start + first + 10ms);
  CHECK(smoother.fits(1));
}

TEST_CASE("a rate where there was none begins empty") {
  Smoother smoother{0, 0, start};
  smoother.set_rate(2, 1, start + 1h);
  CHECK_FALSE(smoother.fits(1));
  smoother.advance(start + 1h + 501ms);
  CHECK(smoother.fits(1));
}

TEST_CASE("time that does not go on fills nothing") {
  Smoother smoother{10, 5, start};
  smoother.take(5);
  smoother.advance(start + 200ms);
  smoother.advance(start);
  smoother.advance(start + 200ms);
  CHECK(smoother.fits(2));
  CHECK_FALSE(smoother.fits(3));
}

TEST_CASE("over any time a smoother lets through its burst, its rate and one call at most") {
  const auto seed = GENERATE(range(1u, 9u));
  CAPTURE(seed);
  Random random{seed};
  const double rate = 1 + random.unit() * 100;
  const double burst = 1 + random.unit() * 50;
  const double largest = 1 + random.unit() * 2 * burst;
  Smoother smoother{rate, burst, start};
  std::vector<Call> calls;
  Time now = start;
  for (int step = 0; step < 1'500; ++step) {
    now += random.between(0ns, from_seconds(random.chance(0.05) ? 3 : 0.02));
    smoother.advance(now);
    const double amount = 1 + random.unit() * (largest - 1);
    if (!smoother.fits(amount)) continue;
    smoother.take(amount);
    calls.push_back({now, amount});
  }
  REQUIRE(calls.size() > 50);
  CHECK(largest_burst(calls, rate) <= burst + largest + 1e-6);
}

TEST_CASE("over any time calls that fit the burst get no more than burst and rate") {
  Smoother smoother{50, 20, start};
  std::vector<Call> calls;
  for (Time now = start; now < start + 20s; now += 7ms) {
    smoother.advance(now);
    for (; smoother.fits(1); smoother.take(1)) calls.push_back({now, 1});
  }
  CHECK(largest_burst(calls, 50) <= 20 + 1e-6);
  // A hungry asker gets all of it.
  CHECK(static_cast<double>(calls.size()) >= 50 * 20 - 1);
}

} // namespace smoother_test
