// What is learned from the limits that a server's answers name.
#include "actors/rate_limiter/windows/advertised_limit.hpp"
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace advertised_limit_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;
using protocol::LimitHint;

namespace {

const Time start = time_from_ns(0) + 1h;

// A server whose bucket of `capacity` fills with `rate` a second, heard after each of `calls`.
void hear(AdvertisedLimit& limit, std::int64_t said, double capacity, double rate, int calls) {
  double level = capacity;
  for (int n = 0; n < calls; ++n) {
    level = std::max(0.0, level - 1);
    limit.heard({LimitHint::Name::requests, said, static_cast<std::int64_t>(level),
                 static_cast<std::int64_t>(std::ceil((capacity - level) / rate * 1e3))},
                start, start);
  }
}

} // namespace

TEST_CASE("a limit's window is measured, whatever its name", "[advertised]") {
  struct Row {
    std::int64_t said;
    double capacity, rate; // units, units per second
    double learned;
  };
  const auto row = GENERATE(Row{600, 600, 10, 10}, // per minute, a minute's worth at once
                            Row{600, 10, 10, 10},  // … a second's worth
                            Row{14'400, 14'400, 1.0 / 6, 1.0 / 6}, // per day
                            Row{20, 20, 20, 20},                   // per second
                            Row{3'600, 100, 1, 1},                 // per hour
                            Row{600, 600, 7, 0});                  // of a window that nobody has
  AdvertisedLimit limit;
  hear(limit, row.said, row.capacity, row.rate, 10);
  CHECK(limit.rate() == Approx(row.learned));
}

TEST_CASE("seven answers say nothing yet, and none that do not differ", "[advertised]") {
  AdvertisedLimit limit;
  hear(limit, 600, 600, 10, 7);
  CHECK(limit.rate() == 0);
  hear(limit, 600, 600, 10, 1);
  CHECK(limit.rate() == 10);
  AdvertisedLimit same;
  for (int n = 0; n < 20; ++n) same.heard({LimitHint::Name::requests, 600, 599, 100}, start, start);
  CHECK(same.rate() == 0);
  hear(limit, 700, 700, 3, 1); // another limit: begins anew
  CHECK(limit.rate() == 0);
}

TEST_CASE("in a window that ends at once for all a rate is not seen, its end is kept",
          "[advertised]") {
  AdvertisedLimit limit;
  for (int n = 1; n <= 10; ++n)
    limit.heard({LimitHint::Name::requests, 10, 10 - n, 30'000 - 100 * n}, start, start);
  CHECK(limit.rate() == 0);
  CHECK(limit.held_until() == start + 29s);
}

TEST_CASE("what a used-up limit holds, from when the call was sent", "[advertised]") {
  struct Row {
    std::int64_t limit, remaining, reset_ms;
    Duration held;
  };
  const auto row = GENERATE(Row{10, 0, 3'000, 2s}, Row{10, 1, 3'000, 0s}, Row{10, 0, -1, 0s},
                            Row{0, 0, 3'000, 0s}, Row{-1, -1, 3'000, 0s}, Row{10, 0, 1'000, 0s},
                            Row{10, 0, 500'000, 60s});
  AdvertisedLimit limit;
  limit.heard({LimitHint::Name::requests, 10, 5, 1'000}, start - 2s, start - 1s);
  limit.heard({LimitHint::Name::requests, row.limit, row.remaining, row.reset_ms}, start - 1s,
              start);
  CHECK(std::max(limit.held_until(), start) == start + row.held);
}

TEST_CASE("a number that was never other than 0 holds nobody", "[advertised]") {
  AdvertisedLimit limit;
  for (int n = 0; n < 20; ++n) limit.heard({LimitHint::Name::requests, 10, 0, 5'000}, start, start);
  CHECK(limit.held_until() <= start);
}

TEST_CASE("a full bucket that fills steadily is waited for by one unit only", "[advertised]") {
  AdvertisedLimit limit;
  hear(limit, 600, 10, 10, 10);
  CHECK(limit.held_until() == start + 100ms);
}

TEST_CASE("the rate that a server names binds below the configured one, never above",
          "[advertised]") {
  const auto calls_in_ten_seconds = [](std::uint64_t configured, std::int64_t said) {
    Bench bench;
    bench.endpoint(1, {configured, 0, 0});
    bench.job(7, {});
    double level = 600;
    int count = 0;
    for (int step = 0; step < 200; ++step) {
      for (;;) {
        const Granted granted = bench.ask(ids({1}));
        if (granted.permits.empty()) break;
        if (step >= 100) ++count;
        level -= 1;
        Ended ended;
        ended.attempt = granted.permits[0].attempt;
        ended.limits = {
            {LimitHint::Name::requests, said, static_cast<std::int64_t>(level),
             static_cast<std::int64_t>((600 - level) * 60'000 / static_cast<double>(said))}};
        bench.limiter.ended(ended, bench.now);
        if (count > 100'000) return count;
      }
      bench.now += 100ms;
      level = std::min(600.0, level + static_cast<double>(said) / 600);
    }
    return count;
  };
  CHECK(calls_in_ten_seconds(6'000, 600) == Approx(99).margin(3));
  CHECK(calls_in_ten_seconds(600, 6'000) == Approx(99).margin(3));
}

} // namespace advertised_limit_test
