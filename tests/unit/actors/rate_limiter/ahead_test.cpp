// Permits for calls that could start only when others have ended: where places are plenty.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace ahead_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

struct Ahead : Bench {
  explicit Ahead(RateLimits limits = {}, RateLimits of_job = {}) {
    endpoint(1, limits);
    job(7, of_job);
    job(8, {});
    warm_up();
    now += 1s; // nobody waits for that any more
    write_blocks();
  }
  Granted ask_ahead(std::uint64_t call) {
    Acquire acquire = question({CallId{call}});
    acquire.calls[0].ahead = true;
    Granted granted = limiter.acquire(acquire, now);
    if (!granted.permits.empty()) return granted;
    write_blocks(); // perhaps only they were missing
    return limiter.acquire(acquire, now);
  }
  bool goes_ahead(std::uint64_t call) { return !ask_ahead(call).permits.empty(); }
  // So many of job 8 are in flight.
  std::vector<protocol::Permit> fill(std::uint64_t count) {
    Acquire acquire = question(calls(count));
    for (AcquireCall& call : acquire.calls) call.job = JobId{8};
    const auto permits = limiter.acquire(acquire, now).permits;
    REQUIRE(permits.size() == count);
    return permits;
  }
};

} // namespace

TEST_CASE("a permit is given ahead while a quarter of the slots stays free", "[ahead]") {
  const auto [most, in_flight, goes] = GENERATE(table<std::uint32_t, std::uint64_t, bool>({
      {32, 23, true}, // 23, this one and 8
      {32, 24, false},
      {30, 21, true},
      {30, 22, false},
      {1, 0, false}, // the only one
      {2, 0, true},
      {2, 1, false},
  }));
  CAPTURE(most, in_flight);
  Ahead bench{{0, 0, most}};
  bench.fill(in_flight);
  CHECK(bench.goes_ahead(100) == goes);
}

TEST_CASE("what is refused ahead waits for nothing and keeps nobody waiting", "[ahead]") {
  Ahead bench{{0, 0, 8}};
  bench.fill(6);
  const Granted granted = bench.ask_ahead(100);
  CHECK(granted.permits.empty());
  CHECK(granted.waits.empty());
  CHECK(granted.not_ahead == std::vector<CallId>{CallId{100}});
  CHECK(bench.goes(101)); // one that could start now goes
}

TEST_CASE("while a worker waits for a place no other one gets one ahead", "[ahead]") {
  Ahead bench{{0, 0, 8}};
  const auto permits = bench.fill(8);
  CHECK_FALSE(bench.goes(100)); // waits
  for (std::size_t n = 0; n < 6; ++n) bench.answered(permits[n]);
  CHECK_FALSE(bench.goes_ahead(101));
  bench.now += 1s;
  CHECK(bench.goes(100));
  CHECK(bench.goes_ahead(101));
}

TEST_CASE("a job's own limits count as its endpoint's do", "[ahead]") {
  Ahead bench{{}, {0, 0, 2}};
  CHECK(bench.goes_ahead(1));
  CHECK_FALSE(bench.goes_ahead(2));
}

TEST_CASE("of a minute's calls a permit ahead leaves half of what may go at once", "[ahead]") {
  Ahead bench{{1'200, 0, 0}}; // 20 a second, ten at once
  bench.now += 5s;
  std::uint64_t ahead = 0;
  while (ahead < 20 && bench.goes_ahead(100 + ahead)) ++ahead;
  CHECK(ahead >= 4);
  CHECK(ahead <= 5);
  CHECK(bench.goes(200)); // for one that could start now there is more
  CHECK(bench.goes(201));
}

TEST_CASE("what comes back unused is there again", "[ahead]") {
  Ahead bench{{0, 0, 4}};
  bench.fill(2);
  const auto permits = bench.ask_ahead(100).permits;
  REQUIRE(permits.size() == 1);
  CHECK_FALSE(bench.goes_ahead(101));
  bench.unstarted(permits[0]);
  CHECK(bench.goes_ahead(101));
}

TEST_CASE("nothing is given ahead of what is known to be scarce", "[ahead]") {
  SECTION("a budget of money") {
    Ahead bench;
    CHECK(bench.goes_ahead(1));
    JobBudget rich{JobId{7}, {}, {}};
    rich.money.cap = Usd::from_nano(1'000'000);
    bench.limiter.job_opened(rich, bench.now);
    CHECK_FALSE(bench.goes_ahead(2));
  }
  SECTION("a day's calls") {
    RateLimits limits;
    limits.requests_per_day = 1'000;
    Ahead bench{limits};
    CHECK_FALSE(bench.goes_ahead(1));
  }
  SECTION("an endpoint that is away") {
    Ahead bench;
    const auto permits = bench.fill(1);
    bench.answered(permits[0], OutcomeClass::unreachable);
    CHECK_FALSE(bench.goes_ahead(1));
  }
  SECTION("a call of several parts, whose number may be a trial") {
    Ahead bench;
    Acquire acquire = bench.question({CallId{1}});
    acquire.calls[0].ahead = true;
    acquire.calls[0].parts = 2;
    CHECK(bench.limiter.acquire(acquire, bench.now).not_ahead.size() == 1);
  }
  SECTION("a job that is not running, a model that nobody serves") {
    Ahead bench;
    Acquire acquire = bench.question({CallId{1}});
    acquire.calls[0].ahead = true;
    acquire.calls[0].job = JobId{99};
    CHECK(bench.limiter.acquire(acquire, bench.now).not_ahead.size() == 1);
    bench.model = "another";
    CHECK_FALSE(bench.goes_ahead(2));
  }
}

} // namespace ahead_test
