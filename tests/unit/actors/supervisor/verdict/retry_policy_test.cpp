// What follows from the end of an attempt, and when.
#include "actors/supervisor/verdict/retry_policy.hpp"

#include <catch2/catch.hpp>

namespace retry_policy_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;

Decision decide_for(OutcomeClass cls, std::uint32_t consumed, std::int64_t retry_after_ms = -1,
                    std::uint64_t seed = 1) {
  Random random{seed};
  return RetryPolicy{}.decide(cls, consumed, retry_after_ms, now, random);
}

} // namespace

TEST_CASE("an answer is done, an error of the request fails at once, the rest is tried again") {
  using enum OutcomeClass;
  using What = Decision::What;
  const auto [cls, what] = GENERATE(table<OutcomeClass, What>({
      {ok, What::done},           {transient, What::again},   {timeout, What::again},
      {overload, What::again},    {rate, What::again},        {ramp, What::again},
      {quota, What::again},       {too_long, What::failed},   {bad_line, What::failed},
      {policy, What::failed},     {config, What::failed},     {too_big, What::failed},
      {bad_result, What::again},  {cancelled, What::failed},  {unstarted, What::again},
      {unreachable, What::again}, {unavailable, What::again}, {gateway, What::again},
      {poison, What::failed},     {malformed, What::again},
  }));
  CAPTURE(info(cls).name);
  CHECK(decide_for(cls, 1).what == what);
}

TEST_CASE("an answer of no form leaves one try at most") {
  const auto [retries, before, after] =
      GENERATE(table<std::uint32_t, std::uint32_t, std::uint32_t>({
          {5, 0, 5},
          {5, 3, 5},
          {5, 4, 5},
          {5, 5, 6},
          {1, 0, 1},
          {1, 1, 2},
          {0, 0, 1},
      }));
  CAPTURE(retries, before);
  RetryPolicy policy;
  policy.retries = retries;
  CHECK(policy.consumed_after(OutcomeClass::malformed, before) == after);
  CHECK(policy.consumed_after(OutcomeClass::transient, before) == before + 1);
}

TEST_CASE("as many attempts as there are retries follow the first one") {
  const auto [consumed, what] = GENERATE(table<std::uint32_t, Decision::What>({
      {4, Decision::What::again},
      {5, Decision::What::again},
      {6, Decision::What::failed},
      {7, Decision::What::failed},
  }));
  CAPTURE(consumed);
  CHECK(decide_for(OutcomeClass::transient, consumed).what == what);
  // A refusal by rate is no attempt, however often it comes.
  CHECK(decide_for(OutcomeClass::rate, consumed).what == Decision::What::again);
}

TEST_CASE("a job without retries fails with its first attempt that counts") {
  Random random{1};
  RetryPolicy policy;
  policy.retries = 0;
  CHECK(policy.decide(OutcomeClass::timeout, 1, -1, now, random).what == Decision::What::failed);
}

TEST_CASE("the delay doubles up to its bound, half of it fixed and half of it random") {
  const auto [consumed, full] = GENERATE(table<std::uint32_t, Duration>({
      {0, 500ms},
      {1, 500ms},
      {2, 1s},
      {3, 2s},
      {4, 4s},
      {5, 8s},
  }));
  CAPTURE(consumed);
  Duration least = 1h, most = 0s;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const Duration delay = decide_for(OutcomeClass::transient, consumed, -1, seed).not_before - now;
    REQUIRE(delay >= full / 2);
    REQUIRE(delay <= full);
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  CHECK(least < full * 55 / 100);
  CHECK(most > full * 95 / 100);
}

TEST_CASE("the delay never exceeds its bound, however many attempts there were") {
  const std::uint32_t consumed = GENERATE(7, 20, 64, 4'000'000'000u);
  Random random{1};
  RetryPolicy policy;
  policy.retries = ~0u;
  const Duration delay =
      policy.decide(OutcomeClass::transient, consumed, -1, now, random).not_before - now;
  CHECK(delay >= policy.delay_max / 2);
  CHECK(delay <= policy.delay_max);
}

TEST_CASE("a time that the server gave is obeyed and never shortened") {
  CHECK(decide_for(OutcomeClass::rate, 0, 100'000).not_before == now + 100s);
  CHECK(decide_for(OutcomeClass::transient, 1, 501).not_before == now + 501ms);
  CHECK(decide_for(OutcomeClass::transient, 1, 0).not_before >= now + 250ms);
  CHECK(decide_for(OutcomeClass::transient, 1, -5'000).not_before >= now + 250ms);
}

TEST_CASE("after an endpoint's fault the delay does not grow, and a server may ask for a minute") {
  using enum OutcomeClass;
  const auto cls = GENERATE(overload, unreachable, unavailable, gateway);
  for (const std::uint32_t consumed : {0u, 1u, 100u})
    CHECK(decide_for(cls, consumed).not_before == now + 1s);
  CHECK(decide_for(cls, 0, 999).not_before == now + 1s);
  CHECK(decide_for(cls, 0, 59'999).not_before == now + 59'999ms);
  CHECK(decide_for(cls, 0, 3'600'000).not_before == now + 60s);
  CHECK(decide_for(cls, 1'000'000).what == Decision::What::again);
}

TEST_CASE("a call that was never sent goes again at once") {
  CHECK(decide_for(OutcomeClass::unstarted, 3, 60'000).not_before == now);
}

} // namespace retry_policy_test
