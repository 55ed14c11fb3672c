// Endpoints whose tokens are not to be estimated, and what calls that stray from an estimate owe.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace strict_tokens_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

Bench strict_bench(bool strict, bool counts_reserved = false) {
  Bench bench;
  EndpointSpec spec = endpoint_at("http://host/v1", {0, 1'000, 0});
  spec.limits.strict_tokens = strict;
  spec.limits.token_counting = counts_reserved ? TokenCounting::reserved : TokenCounting::usage;
  bench.offer({EndpointId{1}, "m", spec, SessionId{}});
  bench.job(7, {});
  return bench;
}

void end(Bench& bench, const protocol::Permit& permit, std::uint64_t used) {
  protocol::Usage usage;
  usage.known = true;
  usage.prompt = used;
  bench.answered(permit, OutcomeClass::ok, -1, usage);
}

} // namespace

TEST_CASE("under strict_tokens the bound is reserved, whatever was learned", "[tokens]") {
  const bool strict = GENERATE(true, false);
  CAPTURE(strict);
  Bench bench = strict_bench(strict);
  bench.token_bound = 500;
  for (int i = 0; i < 30; ++i) {
    const auto permits = bench.ask({CallId{1}}).permits;
    REQUIRE(permits.size() == 1);
    end(bench, permits[0], 1);
    bench.now += 61s;
  }
  bench.warm_up();
  int goes = 0;
  for (std::uint64_t call = 1; call <= 10; ++call, bench.now += 1s) goes += bench.goes(call);
  CHECK(goes == (strict ? 1 : 10)); // of 500 each, or of some
}

TEST_CASE("under strict_tokens a call beyond the whole window never goes", "[tokens]") {
  const auto [strict, bound, exceeds] = GENERATE(table<bool, std::uint64_t, bool>(
      {{true, 1'000, false}, {true, 1'001, true}, {false, 1'001, false}}));
  CAPTURE(strict, bound);
  Bench bench = strict_bench(strict);
  bench.token_bound = bound;
  const Granted granted = bench.ask(ids({1, 2}));
  CHECK(granted.exceeding.size() == (exceeds ? 2 : 0));
  CHECK(granted.permits.size() == (exceeds ? 0 : 1));
  if (exceeds)
    CHECK_THAT(granted.exceeding[0].why, Catch::Contains("1000 tokens per minute") &&
                                             Catch::Contains("1001") &&
                                             Catch::Contains("strict_tokens"));
  // Another endpoint takes it.
  if (exceeds) bench.endpoint(2, {});
  if (exceeds) CHECK(bench.goes(1));
}

TEST_CASE("of what a provider charges beforehand nothing of the answer's part is given back",
          "[tokens]") {
  const bool counts_reserved = GENERATE(true, false);
  CAPTURE(counts_reserved);
  Bench bench = strict_bench(false, counts_reserved);
  bench.token_bound = 600;
  bench.output_bound = 590;
  const auto permits = bench.ask({CallId{1}}).permits;
  REQUIRE(permits.size() == 1);
  end(bench, permits[0], 1);
  bench.now += 50s;
  CHECK(bench.goes(2) == !counts_reserved);
}

TEST_CASE("a refused call was charged nothing", "[tokens]") {
  Bench bench = strict_bench(false, GENERATE(true, false));
  bench.token_bound = 600;
  const auto permits = bench.ask({CallId{1}}).permits;
  REQUIRE(permits.size() == 1);
  bench.answered(permits[0], OutcomeClass::rate, 0);
  bench.now += 50s;
  CHECK(bench.goes(2));
}

TEST_CASE("what a call used beyond its reserve is a debt, and the journal hears of it",
          "[tokens]") {
  Account account{"endpoint", {0, 6'000, 0}, time_from_ns(0) + 1h};
  Time now = time_from_ns(0) + 1h;
  const auto block = [&](std::uint64_t number) {
    account.refuses(Tokens{100, 50}, now);
    auto note = account.reserve(number, now);
    account.durable(number);
    return note;
  };
  REQUIRE(block(1));
  REQUIRE_FALSE(account.refuses(Tokens{100, 50}, now));
  const Charge charge = account.draw({100, 50}, now);
  account.settle(charge, 400, now + 1s);
  now += 50s;
  CHECK_FALSE(account.refuses(Tokens{5'600, 1}, now)->kind == WaitKind::tokens);
  CHECK(account.refuses(Tokens{5'601, 1}, now)->kind == WaitKind::tokens);
  REQUIRE(block(2));
  account.draw({1, 1}, now);
  now += 5s;
  const auto third = block(3);
  REQUIRE(third);
  REQUIRE(third->drawn.size() == 1);
  CHECK(third->drawn[0].block == 1);
  CHECK(third->drawn[0].tokens == 400);
  now += 7s; // the debt is of the second in which the call began
  CHECK(account.refuses(Tokens{5'999, 1}, now)->kind != WaitKind::tokens);
}

} // namespace strict_tokens_test
