// When calls are kept from an endpoint that is away or fails, and how it comes back.
#include "actors/rate_limiter/health/endpoint_hold.hpp"
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace endpoint_hold_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
using News = EndpointNews;

void fail(EndpointHold& hold, int times, Time now, News news = News::failed) {
  const EndpointHold::Begun begun = hold.begun(now);
  for (int n = 0; n < times; ++n) hold.failed({begun, 0s}, news, now);
}

// One that has answered, and is held since `start`.
EndpointHold held() {
  EndpointHold hold;
  hold.answered();
  fail(hold, 3, start, News::away);
  REQUIRE(hold.is_held());
  return hold;
}

// A probe that fails after so long.
void probe(EndpointHold& hold, Time now, Duration took = 0s,
           std::optional<Duration> told = std::nullopt) {
  REQUIRE_FALSE(hold.refuses(now));
  const auto begun = hold.begun(now);
  hold.failed({begun, took, told}, News::away, now + took);
}

} // namespace

TEST_CASE("eight failures in a row hold an endpoint, an answer between them does not") {
  EndpointHold hold;
  fail(hold, EndpointHold::failures_in_a_row - 1, start);
  CHECK_FALSE(hold.is_held());
  hold.answered();
  fail(hold, EndpointHold::failures_in_a_row - 1, start);
  CHECK_FALSE(hold.refuses(start));
  fail(hold, 1, start);
  CHECK(hold.refuses(start) == start + 1s);
  CHECK(hold.refuses(start + 1s - 1ns));
  CHECK_FALSE(hold.refuses(start + 1s));
}

TEST_CASE("one that never answered is held at the first fault of its own, another at the third") {
  const News news = GENERATE(News::away, News::full);
  EndpointHold fresh;
  fail(fresh, 1, start, news);
  CHECK(fresh.is_held());
  EndpointHold proved;
  proved.answered();
  fail(proved, 2, start, news);
  CHECK_FALSE(proved.is_held());
  proved.answered();
  fail(proved, 2, start, news);
  CHECK_FALSE(proved.is_held());
  fail(proved, 1, start, news);
  CHECK(proved.is_held());
}

TEST_CASE("a fault says nothing while others were answered after its call began") {
  EndpointHold hold;
  hold.answered();
  const auto before = hold.begun(start);
  hold.answered();
  for (int n = 0; n < 100; ++n) hold.failed({before, 3s}, News::full, start + 3s);
  CHECK_FALSE(hold.is_held());
}

TEST_CASE("one probe a second goes, however long the endpoint is away") {
  EndpointHold hold = held();
  for (Time now = start + 1s; now < start + 100s; now += 1s) {
    CHECK(hold.refuses(now - 1ns) == now);
    probe(hold, now);
  }
  CHECK(hold.refuses(start + 100s - 1ns) == start + 100s);
}

TEST_CASE("only one probe is under way until it outlives the failures, then twice as many") {
  EndpointHold hold = held();
  Time now = start + 1s;
  hold.begun(now);
  for (const std::uint32_t width : {2u, 4u, 8u}) {
    CHECK(hold.refuses(now) == now + 2s);
    CHECK(hold.refuses(now + 2s - 1ns));
    now += 2s;
    for (std::uint32_t n = 0; n < width; ++n) {
      REQUIRE_FALSE(hold.refuses(now));
      hold.begun(now);
    }
  }
  CHECK(hold.refuses(now)); // until these have outlived them too
}

TEST_CASE("a probe outlives failures that took long only after half as long again") {
  EndpointHold hold = held();
  probe(hold, start + 1s, 4s);
  const Time now = start + 5s;
  hold.begun(now);
  CHECK(hold.refuses(now + 6s - 1ns) == now + 6s);
  CHECK_FALSE(hold.refuses(now + 6s));
}

TEST_CASE("a probe that fails begins anew with one") {
  EndpointHold hold = held();
  const auto first = hold.begun(start + 1s);
  const auto second = hold.begun(start + 3s);
  hold.failed({first, 3s}, News::away, start + 4s);
  hold.failed({second, 1s}, News::away, start + 4s);
  probe(hold, start + 4s);
  CHECK(hold.refuses(start + 4s) == start + 5s);
}

TEST_CASE("what a server says of when to come again holds, a minute at most") {
  EndpointHold hold = held();
  probe(hold, start + 1s, 0s, 30s);
  CHECK(hold.refuses(start + 1s) == start + 31s);
  probe(hold, start + 31s, 0s, 1h);
  CHECK(hold.refuses(start + 31s) == start + 91s);
  CHECK_FALSE(hold.refuses(start + 91s));
}

TEST_CASE("calls that began before it was held say nothing new, but an answer frees it") {
  EndpointHold hold;
  hold.answered();
  const auto before = hold.begun(start);
  fail(hold, 3, start, News::away);
  for (int n = 0; n < 100; ++n) hold.failed({before, 0s, 50s}, News::away, start);
  CHECK(hold.refuses(start) == start + 1s);
  hold.answered();
  CHECK_FALSE(hold.refuses(start));
}

TEST_CASE("a probe that was never sent makes room for another, a lost one a second later") {
  EndpointHold hold = held();
  hold.ended_otherwise(hold.begun(start + 1s), true);
  CHECK_FALSE(hold.refuses(start + 1s));
  hold.ended_otherwise(hold.begun(start + 1s), false);
  CHECK(hold.refuses(start + 1s) == start + 2s);
}

TEST_CASE("calls wait for an endpoint that is held, and go to another one meanwhile") {
  const bool has_answered = GENERATE(false, true);
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  if (has_answered)
    for (const auto& permit : bench.ask(calls(1)).permits) bench.answered(permit);
  for (const auto& permit : bench.ask(calls(8)).permits)
    bench.answered(permit, OutcomeClass::transient);
  const Granted waits = bench.ask(calls(3));
  CHECK(waits.permits.empty());
  REQUIRE(waits.waits.size() == 1);
  CHECK(waits.waits[0].reason.kind == WaitKind::breaker);
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

TEST_CASE("a permit says whether a failure of its call would leave doubt") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  const auto doubts = [&](std::uint64_t count) {
    const Granted granted = bench.ask(calls(count));
    std::vector<Doubt> said;
    for (const PermitNote& note : granted.notes) said.push_back(note.doubt);
    return std::pair{said, granted.permits};
  };
  using enum Doubt;
  const auto [first, permits] = doubts(3);
  CHECK(first == std::vector{crowded, crowded, crowded}); // it has never answered
  bench.answered(permits[1]);                             // the second of two at once
  bench.answered(permits[0]);
  const auto [second, more] = doubts(3);
  CHECK(second == std::vector{none, crowded, crowded}); // beside the one that is still out
  for (const auto& permit : more) bench.answered(permit);
  bench.answered(permits[2]);
  for (const auto& permit : doubts(3).second) bench.answered(permit, OutcomeClass::unreachable);
  bench.now += 1s;
  CHECK(doubts(3).first == std::vector{held});
}

TEST_CASE("an endpoint that refuses a job is asked by one call a second, and costs no other job") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  bench.job(8, {});
  for (const auto& permit : bench.ask(calls(4)).permits)
    bench.answered(permit, OutcomeClass::config);
  CHECK_THAT(bench.wait_reason(1), Catch::Contains("refuses the job's calls"));
  Acquire other = bench.question(calls(4));
  for (AcquireCall& call : other.calls) call.job = JobId{8};
  bench.limiter.acquire(other, bench.now);
  bench.write_blocks();
  CHECK(bench.limiter.acquire(other, bench.now).permits.size() == 4);
  for (int probe = 0; probe < 3; ++probe) {
    bench.now += 1s;
    const auto permits = bench.ask(calls(4)).permits;
    REQUIRE(permits.size() == 1);
    bench.answered(permits[0], OutcomeClass::config);
  }
  bench.now += 1s;
  for (const auto& permit : bench.ask(calls(4)).permits) bench.answered(permit);
  CHECK(bench.ask(calls(4)).permits.size() == 4);
}

TEST_CASE("beside others a refusing endpoint is asked every ten seconds") {
  Bench bench;
  bench.endpoint(1, {});
  bench.endpoint(2, {});
  bench.job(7, {});
  for (const auto& permit : bench.ask(calls(2)).permits)
    bench.answered(permit,
                   permit.endpoint == EndpointId{1} ? OutcomeClass::config : OutcomeClass::ok);
  const auto at_first = [&] {
    int asked = 0;
    for (const auto& permit : bench.ask(calls(6)).permits) {
      asked += permit.endpoint == EndpointId{1};
      bench.answered(permit,
                     permit.endpoint == EndpointId{1} ? OutcomeClass::config : OutcomeClass::ok);
    }
    return asked;
  };
  bench.now += 10s - 1ns;
  CHECK(at_first() == 0);
  bench.now += 1ns;
  CHECK(at_first() == 1);
}

TEST_CASE("one call that finds a server full among many answers does not shrink its limit") {
  const int full = GENERATE(1, 2);
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  const auto permits = bench.ask(calls(4)).permits;
  REQUIRE(permits.size() == 4);
  bench.answered(permits[2]);
  const auto slots = [&] { return bench.limiter.standing(EndpointId{1}, bench.now).slots; };
  const std::uint32_t before = slots();
  for (int n = 0; n < full; ++n)
    bench.answered(permits[static_cast<std::size_t>(n)], OutcomeClass::gateway);
  CHECK((slots() < before) == (full == 2));
}

} // namespace endpoint_hold_test
