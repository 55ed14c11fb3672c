// When calls are kept from an endpoint that fails, and how it comes back.
#include "actors/rate_limiter/breaker.hpp"
#include "tests/unit/rate_limiter_harness.hpp"

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;
using namespace std::chrono_literals;

namespace {
const Time start = time_from_ns(0) + 1h;

void fail(Breaker& breaker, int times, Time now) {
  for (int n = 0; n < times; ++n) breaker.failed(now);
}
} // namespace

TEST_CASE("eight failures in a row open the breaker, an answer between them does not") {
  Breaker breaker;
  fail(breaker, Breaker::failures_in_a_row - 1, start);
  CHECK_FALSE(breaker.refuses(start));
  breaker.answered();
  fail(breaker, Breaker::failures_in_a_row - 1, start);
  CHECK_FALSE(breaker.refuses(start));
  fail(breaker, 1, start);
  CHECK(breaker.refuses(start) == start + 1s);
  CHECK(breaker.refuses(start + 1s - 1ns));
  CHECK_FALSE(breaker.refuses(start + 1s));
}

TEST_CASE("one probe goes at a time, and each that fails doubles the wait, up to half a minute") {
  Breaker breaker;
  Time now = start;
  fail(breaker, Breaker::failures_in_a_row, now);
  for (const auto wait : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    INFO(wait.count());
    CHECK(breaker.refuses(now) == now + wait);
    now += wait;
    REQUIRE_FALSE(breaker.refuses(now));
    breaker.begun();
    CHECK(breaker.refuses(now) == now + Breaker::probe_look);
    breaker.failed(now);
  }
  now += 30s;
  breaker.begun();
  breaker.answered();
  CHECK_FALSE(breaker.refuses(now));
  fail(breaker, Breaker::failures_in_a_row, now);
  CHECK(breaker.refuses(now) == now + 1s);
}

TEST_CASE("calls that began before it opened neither keep it open nor lengthen the wait") {
  Breaker breaker;
  fail(breaker, 100, start);
  CHECK(breaker.refuses(start) == start + 1s);
  breaker.answered();
  CHECK_FALSE(breaker.refuses(start));
}

TEST_CASE("where others answer, a probe is due every second") {
  Breaker breaker;
  Time now = start;
  fail(breaker, Breaker::failures_in_a_row, now);
  for (int probe = 0; probe < 5; ++probe) {
    CHECK(breaker.refuses(now, true) == now + 1s);
    now += 1s;
    REQUIRE_FALSE(breaker.refuses(now, true));
    breaker.begun();
    breaker.failed(now);
  }
  CHECK(breaker.refuses(now) == now + 30s); // alone it is spared all the same
}

TEST_CASE("a probe that was never sent makes room for another") {
  Breaker breaker;
  fail(breaker, Breaker::failures_in_a_row, start);
  breaker.begun();
  CHECK(breaker.refuses(start + 1s));
  breaker.ended_otherwise();
  CHECK_FALSE(breaker.refuses(start + 1s));
}

TEST_CASE("calls wait for an endpoint that has answered before, and go to another one meanwhile") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  for (const auto& permit : bench.ask(calls(1)).permits) bench.answered(permit);
  for (const auto& permit : bench.ask(calls(8)).permits)
    bench.answered(permit, OutcomeClass::transient);
  const Granted waits = bench.ask(calls(3));
  CHECK(waits.permits.empty());
  REQUIRE(waits.waits.size() == 1);
  CHECK_THAT(waits.waits[0].why, Catch::Contains("the endpoint fails"));
  CHECK(bench.limiter.standing(EndpointId{1}, bench.now).parked_ms == 1'000);
  bench.endpoint(2, {});
  const Granted elsewhere = bench.ask(calls(3));
  REQUIRE(elsewhere.permits.size() == 3);
  for (const auto& permit : elsewhere.permits) {
    CHECK(permit.endpoint == EndpointId{2});
    bench.answered(permit);
  }
  bench.now += 1s;
  int probes = 0;
  for (const auto& permit : bench.ask(calls(6)).permits) probes += permit.endpoint == EndpointId{1};
  CHECK(probes == 1);
}

TEST_CASE("an endpoint that never answered fails its calls: nobody waits for what never was") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  for (int round = 0; round < 3; ++round) {
    const auto permits = bench.ask(calls(8)).permits;
    CHECK(permits.size() == 8);
    for (const auto& permit : permits) bench.answered(permit, OutcomeClass::transient);
  }
}
