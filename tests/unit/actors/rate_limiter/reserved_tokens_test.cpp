// Providers that charge the prompt and all that an answer might have; and those that count input
// and output tokens by themselves.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace reserved_tokens_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

constexpr std::uint64_t prompt = 1'000, limit = 200; // tokens of a call; its answers have 50

Bench bench_of(TokenCounting counting, RateLimits limits) {
  Bench bench;
  EndpointSpec spec = endpoint_at("http://host/v1", limits);
  spec.limits.token_counting = counting;
  bench.offer({EndpointId{1}, "m", spec, SessionId{}});
  bench.job(7, {});
  bench.token_bound = 4 * prompt + limit; // bytes, and the answer
  bench.output_bound = limit;
  return bench;
}

protocol::Usage usage(std::uint64_t answer = 50) {
  protocol::Usage usage;
  usage.known = true;
  usage.prompt = prompt;
  usage.completion = answer;
  return usage;
}

// Calls that go within a minute, when much is learned; asked for all the time, each answered within
// a second.
std::size_t calls_of_a_minute(Bench& bench) {
  std::size_t went = 0;
  std::vector<protocol::Permit> flying;
  std::uint64_t next = 1'000;
  for (int second = -120; second < 60; ++second)
    for (int part = 0; part < 50; ++part) {
      std::vector<CallId> calls;
      for (int n = 0; n < 20; ++n) calls.push_back(CallId{next++});
      const auto permits = bench.ask(calls).permits;
      if (second >= 0) went += permits.size();
      flying.insert(flying.end(), permits.begin(), permits.end());
      bench.now += 20ms;
      if (part != 49) continue;
      for (const auto& permit : std::exchange(flying, {}))
        bench.answered(permit, OutcomeClass::ok, -1, usage());
    }
  return went;
}

} // namespace

TEST_CASE("what such a provider charges is learned: the prompt's tokens and the answer's limit",
          "[tokens]") {
  Bench bench = bench_of(TokenCounting::reserved, {0, 1'200'000, 0});
  const std::size_t went = calls_of_a_minute(bench);
  CHECK(went <= 1'010); // 1,200 each
  CHECK(went >= 960);
}

TEST_CASE("an answer without usage, or none, keeps all that was reserved", "[tokens]") {
  const bool answered = GENERATE(true, false);
  CAPTURE(answered);
  Bench bench = bench_of(TokenCounting::reserved, {0, 8'000, 0});
  const auto permits = bench.ask({CallId{1}}).permits;
  REQUIRE(permits.size() == 1);
  if (answered)
    bench.answered(permits[0], OutcomeClass::ok, -1, {});
  else
    bench.answered(permits[0], OutcomeClass::transient, -1, {});
  bench.now += 50s;
  CHECK_FALSE(bench.goes(2)); // 4,200 of 8,000 are taken
  bench.now += 12s;
  CHECK(bench.goes(2));
}

TEST_CASE("input tokens have a window of their own", "[tokens]") {
  Bench bench = bench_of(TokenCounting::usage, {0, 0, 0, false, {}, 0, 0, 1'000'000, 0});
  const std::size_t went = calls_of_a_minute(bench);
  CHECK(went <= 1'010);
  CHECK(went >= 960);
}

TEST_CASE("output tokens have a window of their own, counted as the provider counts", "[tokens]") {
  const bool reserved = GENERATE(true, false);
  CAPTURE(reserved);
  Bench bench = bench_of(reserved ? TokenCounting::reserved : TokenCounting::usage,
                         {0, 0, 0, false, {}, 0, 0, 0, reserved ? 200'000ul : 50'000ul});
  const std::size_t went = calls_of_a_minute(bench);
  CHECK(went <= 1'010);
  CHECK(went >= 960);
}

TEST_CASE("the strictest of several that name one key holds for windows of their own, too",
          "[tokens]") {
  Bench bench = bench_of(TokenCounting::usage, {0, 0, 0, false, {}, 0, 0, 100'000, 0});
  EndpointSpec spec = endpoint_at("http://host/v1");
  spec.limits.input_tokens_per_minute = 5'000;
  bench.offer({EndpointId{2}, "m", spec, SessionId{}});
  const std::size_t accounts = bench.limiter.account_count();
  CHECK(accounts == 3); // the endpoint's, its input's, the job's
  std::vector<protocol::Permit> went;
  for (int second = 0; second < 60; ++second, bench.now += 1s)
    for (const auto& permit : bench.ask(ids({1, 2})).permits) went.push_back(permit);
  REQUIRE(went.size() == 1); // of 4,000
  bench.lost(went[0]);
  bench.limiter.endpoint_gone(EndpointId{1}, bench.now);
  bench.limiter.endpoint_gone(EndpointId{2}, bench.now);
  bench.limiter.job_closed(JobId{7});
  for (int minute = 0; minute < 4; ++minute) {
    bench.now += 60s;
    bench.reserve();
  }
  CHECK(bench.limiter.account_count() == 0);
}

TEST_CASE("under strict_tokens a call beyond a window of its own never goes", "[tokens]") {
  const auto [input, output] =
      GENERATE(table<std::uint64_t, std::uint64_t>({{4'000, 0}, {3'999, 0}, {0, 200}, {0, 199}}));
  Bench bench;
  EndpointSpec spec = endpoint_at("http://host/v1");
  spec.limits.strict_tokens = true;
  spec.limits.input_tokens_per_minute = input;
  spec.limits.output_tokens_per_minute = output;
  bench.offer({EndpointId{1}, "m", spec, SessionId{}});
  bench.job(7, {});
  bench.token_bound = 4'200;
  bench.output_bound = 200;
  const Granted granted = bench.ask(ids({1}));
  const bool exceeds = input == 3'999 || output == 199;
  REQUIRE(granted.exceeding.size() == (exceeds ? 1 : 0));
  if (exceeds)
    CHECK_THAT(granted.exceeding[0].why,
               Catch::Contains(input != 0 ? "3999 input tokens" : "199 output tokens"));
}

} // namespace reserved_tokens_test
