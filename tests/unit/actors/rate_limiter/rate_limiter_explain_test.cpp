// What the limiter gives as the reason beside each refusal.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace rate_limiter_explain_test {

using namespace gristmill;
using namespace gristmill::rate_limiter_test;

namespace {

WaitReason reason_of(Bench& bench, std::uint64_t call) {
  const Granted granted = bench.ask({CallId{call}});
  return granted.waits.empty() ? WaitReason{} : granted.waits.front().reason;
}

} // namespace

TEST_CASE("a used-up window is named with its endpoint, its limit and the time of the next call") {
  Bench bench;
  bench.endpoint(1, {60, 0, 0});
  bench.job(7, {});
  REQUIRE(bench.goes(1));
  WaitReason reason = reason_of(bench, 2);
  CHECK(reason.kind == WaitKind::requests);
  CHECK(reason.endpoint == "http://host-1/v1");
  CHECK(reason.limit == 60);
  CHECK(reason.until > bench.now);
  CHECK(reason.until < bench.now + 3s);
  bench.now = reason.until - 1ms;
  CHECK(reason_of(bench, 2).kind == WaitKind::requests);
  bench.now = reason.until;
  CHECK_FALSE(reason_of(bench, 2)); // it goes
}

TEST_CASE("a window of the job itself names no endpoint") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {60, 0, 0});
  REQUIRE(bench.goes(1));
  const WaitReason reason = reason_of(bench, 2);
  CHECK(reason.kind == WaitKind::requests);
  CHECK(reason.endpoint.empty());
  CHECK(reason.limit == 60);
}

TEST_CASE("tokens and calls in flight are told apart, the job's from the endpoint's") {
  Bench tokens;
  tokens.endpoint(1, {0, 6'000, 0});
  tokens.job(7, {});
  tokens.token_bound = 100;
  REQUIRE(tokens.goes(1));
  const WaitReason reason = reason_of(tokens, 2);
  CHECK(reason.kind == WaitKind::tokens);
  CHECK(reason.limit == 6'000);
  Bench slots;
  slots.endpoint(1, {0, 0, 2});
  slots.job(7, {0, 0, 3});
  const auto permits = slots.ask(ids({1, 2})).permits;
  REQUIRE(permits.size() == 2);
  CHECK(reason_of(slots, 3).kind == WaitKind::calls_allowed);
  CHECK(reason_of(slots, 3).limit == 2);
  CHECK(reason_of(slots, 3).endpoint == "http://host-1/v1");
  slots.endpoint(2, {0, 0, 2});
  REQUIRE(slots.goes(3));
  CHECK(reason_of(slots, 4).endpoint.empty());
  CHECK(reason_of(slots, 4).limit == 3);
  slots.answered(permits[0]);
  CHECK_FALSE(reason_of(slots, 4));
}

TEST_CASE("the limit that was found is a reason of its own") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  std::uint64_t call = 0;
  while (bench.goes(++call)) REQUIRE(call < 1'000);
  const WaitReason reason = reason_of(bench, call);
  CHECK(reason.kind == WaitKind::calls_taken_up);
  CHECK(reason.limit == call - 1);
}

TEST_CASE("a parked endpoint is told with the answer that parked it") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  const auto permits = bench.ask(ids({1})).permits;
  REQUIRE(permits.size() == 1);
  const Time refused_at = bench.now;
  bench.answered(permits[0], OutcomeClass::rate, 30'000);
  bench.now += 10s;
  const WaitReason reason = reason_of(bench, 2);
  CHECK(reason.kind == WaitKind::cooldown);
  CHECK(reason.endpoint == "http://host-1/v1");
  CHECK(reason.attempt == permits[0].attempt);
  CHECK(reason.since == refused_at);
  CHECK(reason.until == refused_at + 30s);
  bench.now = refused_at + 30s;
  CHECK_FALSE(reason_of(bench, 2));
}

TEST_CASE("an endpoint that fails, and that nobody serves the model") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  auto permits = bench.ask(calls(10)).permits;
  REQUIRE(permits.size() == 10);
  bench.answered(permits[9]);
  for (int n = 0; n < 8; ++n)
    bench.answered(permits[static_cast<std::size_t>(n)], OutcomeClass::transient);
  const WaitReason fails = reason_of(bench, 20);
  CHECK(fails.kind == WaitKind::breaker);
  CHECK(fails.until == bench.now + 1s);
  bench.limiter.endpoint_gone(EndpointId{1}, bench.now);
  const WaitReason nobody = reason_of(bench, 20);
  CHECK(nobody.kind == WaitKind::unserved);
  CHECK_FALSE(nobody.because.empty());
}

TEST_CASE("of several endpoints that refuse, the one is told that may take a call first") {
  Bench bench;
  bench.endpoint(1, {60, 0, 0});
  bench.endpoint(2, {600, 0, 0});
  bench.job(7, {});
  std::uint64_t call = 0;
  while (bench.goes(++call)) REQUIRE(call < 100);
  CHECK(reason_of(bench, call).endpoint == "http://host-2/v1");
}

TEST_CASE("a block that is being written is told with the time since when") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  const auto asked = [&] { return bench.limiter.acquire(bench.question(ids({1})), bench.now); };
  const Granted first = asked();
  REQUIRE(first.waits.size() == 1);
  CHECK(first.waits[0].reason.kind == WaitKind::journal);
  const auto numbers = bench.reserve(); // … and not durable for a while
  CHECK_FALSE(numbers.empty());
  const Time since = bench.now;
  bench.now = since + 500ms;
  CHECK(asked().waits.at(0).reason.kind == WaitKind::journal);
  CHECK(asked().waits.at(0).reason.since == since);
  for (const std::uint64_t number : numbers) bench.limiter.durable(number);
  CHECK_FALSE(asked().permits.empty());
}

} // namespace rate_limiter_explain_test
