// The numbers and texts of a worker's words, as COORDINATOR believes them.
#include "actors/coordinator/sessions/proof.hpp"
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

#include <algorithm>

namespace coordinator_reason_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

TEST_CASE("an outcome's numbers are brought within what can be", "[proof]") {
  const Time now = time_from_ns(0) + 1h;
  Assigned given;
  given.token_bound = 100;
  given.since = now - 2s;
  Outcome outcome = outcome_of(1);
  const auto most = std::int64_t{600'000};
  for (const auto& [told, believed] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{-5, -1},
                                                          {-1, -1},
                                                          {most - 1, most - 1},
                                                          {most, most},
                                                          {most + 1, most},
                                                          {INT64_MAX, most}}) {
    outcome.retry_after_ms = told;
    bring_within_reason(outcome, given, now);
    CHECK(outcome.retry_after_ms == believed);
  }
  for (const auto& [told, believed] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {1'999'999, 1'999'999}, {2'000'001, 2'000'000}, {UINT64_MAX, 2'000'000}}) {
    outcome.latency_us = told;
    bring_within_reason(outcome, given, now);
    CHECK(outcome.latency_us == believed);
  }
  outcome.limits.assign(60'000, {LimitHint::Name::tokens, INT64_MAX, INT64_MIN, INT64_MAX});
  outcome.limits.push_back({LimitHint::Name::requests, 10, 5, 1'000});
  bring_within_reason(outcome, given, now);
  REQUIRE(outcome.limits.size() == 2);
  CHECK(outcome.limits[0].limit < INT64_MAX / 2);
  CHECK(outcome.limits[0].remaining == -1);
  CHECK(outcome.limits[1] == LimitHint{LimitHint::Name::requests, 10, 5, 1'000});
  QueueReport queue{EndpointId{1}, UINT64_MAX, INT64_MIN};
  bring_within_reason(queue);
  CHECK((queue.waiting < UINT32_MAX && queue.running == -1));
}

TEST_CASE("tokens above a call's bound are doubted, and beyond all reason not believed",
          "[proof]") {
  Assigned given;
  given.token_bound = 100;
  const auto told = [&](std::uint64_t prompt, std::uint64_t completion) {
    Outcome outcome = outcome_of(1);
    outcome.usage = {true, prompt, completion, UINT64_MAX, UINT64_MAX};
    const bool doubted = bring_within_reason(outcome, given, time_from_ns(0) + 1h);
    CHECK(outcome.usage.cached <= outcome.usage.prompt);
    CHECK(outcome.usage.reasoning <= outcome.usage.completion);
    return std::pair{doubted, outcome.usage.total()};
  };
  const std::uint64_t most = 100 + limits::tokens_beyond_bound_max;
  CHECK(told(60, 39) == std::pair{false, std::uint64_t{99}});
  CHECK(told(60, 40) == std::pair{false, std::uint64_t{100}});
  CHECK(told(60, 41) == std::pair{true, std::uint64_t{101}});
  CHECK(told(0, most) == std::pair{true, most});
  CHECK(told(1, most) == std::pair{true, most});
  CHECK(told(UINT64_MAX, UINT64_MAX) == std::pair{true, most});
}

TEST_CASE("texts of an outcome are one line each, within their bounds", "[proof]") {
  Outcome outcome = outcome_of(1);
  const std::string bad = "a\nb\x1b]0;t\x07\xc2\x9b\xff" + std::string(100'000, 'x');
  outcome.request_id = outcome.model = outcome.code = outcome.message = bad;
  bring_within_reason(outcome, {}, time_from_ns(0) + 1h);
  for (const std::string& text :
       {outcome.request_id, outcome.model, outcome.code, outcome.message}) {
    CHECK(std::none_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
    CHECK(text.starts_with("a b ]0;t"));
  }
  CHECK(outcome.model.size() <= limits::name_bytes_max);
  CHECK(outcome.message.size() <= limits::text_bytes_max);
}

} // namespace coordinator_reason_test
