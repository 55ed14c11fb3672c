// Which calls may start and where: two accounts for each permit, and what becomes of it.
#include "actors/rate_limiter/rate_limiter.hpp"

#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

#include <catch2/catch.hpp>

namespace rate_limiter_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;
using namespace std::chrono_literals;

TEST_CASE("a permit is drawn from the endpoint's account and from the job's, or from none") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {0, 0, 1});
  const auto first = bench.ask(ids({1, 2})).permits;
  REQUIRE(first.size() == 1);
  CHECK(bench.limiter.in_flight(EndpointId{1}) == 1);
  CHECK(bench.wait_reason(2) == "all calls in flight that are allowed");
  CHECK(bench.limiter.in_flight(EndpointId{1}) == 1);
  bench.answered(first[0]);
  CHECK(bench.limiter.in_flight(EndpointId{1}) == 0);
  CHECK(bench.goes(2));
}

TEST_CASE("however a call ends, the slots of both its accounts are free again") {
  const auto how =
      GENERATE(Ended::How::answered, Ended::How::unstarted, Ended::How::too_late, Ended::How::lost);
  CAPTURE(how);
  Bench bench;
  bench.endpoint(1, {0, 0, 1});
  bench.job(7, {0, 0, 1});
  for (std::uint64_t call = 1; call <= 3; ++call) {
    const auto permits = bench.ask({CallId{call}}).permits;
    REQUIRE(permits.size() == 1);
    bench.limiter.ended({how, permits[0].attempt, {}, {}, -1}, bench.now);
  }
}

TEST_CASE("a question is answered with its session and its nonce, call by call") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {0, 0, 2});
  bench.ask(ids({9}));
  const Granted granted = bench.limiter.acquire(bench.question(ids({1, 2, 3})), bench.now);
  CHECK(granted.session == bench.session);
  CHECK(granted.nonce == bench.nonce);
  REQUIRE(granted.permits.size() == 1);
  CHECK(granted.permits[0].call == CallId{1});
  CHECK(granted.permits[0].endpoint == EndpointId{1});
  REQUIRE(granted.waits.size() == 1);
  CHECK(granted.waits[0].calls == std::vector<CallId>{CallId{2}, CallId{3}});
  CHECK(granted.waits[0].job == JobId{7});
  CHECK(granted.waits[0].wait_ms == 10);
}

TEST_CASE("a call of an unknown job or without an endpoint waits and hears why") {
  Bench bench;
  CHECK(bench.wait_reason(1) == "the job is not running");
  bench.job(7, {});
  CHECK(bench.wait_reason(1) == "no endpoint serves the job's model, and none any other");
  bench.endpoint(1, {});
  CHECK(bench.goes(1));
  bench.limiter.endpoint_gone(EndpointId{1}, bench.now);
  CHECK(bench.wait_reason(1) == "no endpoint serves the job's model, and none any other");
  bench.limiter.job_closed(JobId{7});
  CHECK(bench.wait_reason(1) == "the job is not running");
}

TEST_CASE("an endpoint serves the calls of its model") {
  const auto [served, wanted, goes] = GENERATE(table<std::string, std::string, bool>({
      {"a", "", true},
      {"a", "a", true},
      {"a", "b", false},
      {"", "", false}, // of those jobs' calls only that name it
      {"", "a", false},
  }));
  CAPTURE(served, wanted);
  Bench bench;
  bench.offer({EndpointId{1}, served, endpoint_at("http://a"), {}});
  bench.job(7, {});
  bench.model = wanted;
  CHECK(bench.goes(1) == goes);
}

TEST_CASE("a job with endpoints of its own uses no other") {
  Bench bench;
  bench.endpoint(1, {});
  bench.endpoint(2, {});
  bench.limiter.job_opened({JobId{7}, {}, {EndpointId{2}}}, bench.now);
  for (const auto& permit : bench.ask(ids({1, 2, 3})).permits)
    CHECK(permit.endpoint == EndpointId{2});
  bench.limiter.endpoint_gone(EndpointId{2}, bench.now);
  CHECK_FALSE(bench.goes(4));
}

TEST_CASE("an announced endpoint is for its session alone") {
  Bench bench;
  bench.offer({EndpointId{1}, "m", endpoint_at("http://localhost"), SessionId{5}});
  bench.job(7, {});
  bench.session = SessionId{4};
  CHECK_FALSE(bench.goes(1));
  bench.session = SessionId{5};
  CHECK(bench.goes(1));
}

TEST_CASE("endpoints of one URL and key share their limits, announced ones never do") {
  const bool announced = GENERATE(false, true);
  CAPTURE(announced);
  Bench bench;
  for (std::uint32_t id = 1; id <= 2; ++id)
    bench.offer({EndpointId{id}, "m", endpoint_at("http://a", {0, 0, 1}),
                 announced ? bench.session : SessionId{}});
  bench.job(7, {});
  CHECK(bench.ask(ids({1, 2})).permits.size() == (announced ? 2 : 1));
}

TEST_CASE("the endpoint with the fewest calls in flight is taken") {
  Bench bench;
  for (std::uint32_t id = 1; id <= 3; ++id) bench.endpoint(id, {});
  bench.job(7, {});
  std::vector<CallId> calls;
  for (std::uint64_t call = 1; call <= 30; ++call) calls.push_back(CallId{call});
  bench.ask(calls);
  for (std::uint32_t id = 1; id <= 3; ++id) CHECK(bench.limiter.in_flight(EndpointId{id}) == 10);
}

TEST_CASE("the shortest wait among the endpoints is told") {
  Bench bench;
  bench.endpoint(1, {});
  bench.endpoint(2, {});
  bench.job(7, {});
  const auto permits = bench.ask(ids({1, 2})).permits;
  REQUIRE(permits.size() == 2);
  bench.answered(permits[0], OutcomeClass::rate, 3'000);
  bench.answered(permits[1], OutcomeClass::rate, 2'000);
  const Granted granted = bench.limiter.acquire(bench.question({CallId{3}}), bench.now);
  REQUIRE(granted.waits.size() == 1);
  CHECK(granted.waits[0].wait_ms == 2'000);
}

TEST_CASE("once a call of a job must wait its others wait with it, those of other jobs go") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {0, 1'000, 0});
  bench.job(8, {});
  bench.warm_up();
  Acquire question = bench.question(ids({1, 2, 3}));
  question.calls[0].token_bound = 1'001;
  question.calls[2].job = JobId{8};
  bench.limiter.acquire(question, bench.now);
  const Granted granted = bench.limiter.acquire(question, bench.now);
  REQUIRE(granted.permits.size() == 1);
  CHECK(granted.permits[0].call == CallId{3});
  REQUIRE(granted.waits.size() == 1);
  CHECK(granted.waits[0].calls.size() == 2);
}

TEST_CASE(
    "an endpoint that refuses is asked again when it said, and after a second if it said nothing") {
  const auto [cls, told_ms, parked_ms] = GENERATE(table<OutcomeClass, std::int64_t, std::int64_t>({
      {OutcomeClass::rate, 400, 400},
      {OutcomeClass::ramp, 400, 400},
      {OutcomeClass::rate, -1, 1'000},
      {OutcomeClass::rate, 0, 0},
      {OutcomeClass::rate, 10'000'000, 600'000},
      {OutcomeClass::quota, -1, 5'000},
      {OutcomeClass::ok, 400, 0},
      {OutcomeClass::transient, 400, 0},
  }));
  CAPTURE(cls, told_ms);
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  const auto permits = bench.ask(ids({1})).permits;
  REQUIRE(permits.size() == 1);
  bench.answered(permits[0], cls, told_ms);
  const Time told = bench.now;
  if (parked_ms > 0) {
    bench.now = told + std::chrono::milliseconds{parked_ms} - 1ms;
    CHECK(bench.wait_reason(2) == (cls == OutcomeClass::quota
                                       ? std::string{info(WaitKind::quota).words}
                                       : "the endpoint asked us to wait"));
  }
  bench.now = told + std::chrono::milliseconds{parked_ms};
  CHECK(bench.goes(2));
}

TEST_CASE("a permit ages only where there is a window") {
  const auto [endpoint, job, life_ms] = GENERATE(table<RateLimits, RateLimits, std::uint32_t>({
      {{0, 0, 4}, {0, 0, 4}, 0},
      {{600, 0, 0}, {}, 250},
      {{0, 600, 0}, {}, 250},
      {{}, {600, 0, 0}, 250},
  }));
  Bench bench;
  bench.endpoint(1, endpoint);
  bench.job(7, job);
  const auto permits = bench.ask(ids({1})).permits;
  REQUIRE(permits.size() == 1);
  CHECK(permits[0].life_ms == life_ms);
}

TEST_CASE(
    "permits that come too late make the next ones live longer, others that come back do not") {
  const bool too_late = GENERATE(true, false);
  CAPTURE(too_late);
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {6'000, 0, 0});
  for (std::uint64_t call = 1; call <= 3; ++call) {
    const auto permits = bench.ask({CallId{call}}).permits;
    REQUIRE(permits.size() == 1);
    CHECK(permits[0].life_ms == 250);
    too_late ? bench.too_late(permits[0]) : bench.unstarted(permits[0]);
  }
  const auto permits = bench.ask(ids({4})).permits;
  REQUIRE(permits.size() == 1);
  CHECK(permits[0].life_ms == (too_late ? 500 : 250));
}

} // namespace rate_limiter_test
