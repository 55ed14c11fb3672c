// When a job should not go on: at one failure less it does, and whoever resumes it starts afresh.
#include "actors/supervisor/verdict/failure_budget.hpp"

#include <catch2/catch.hpp>

namespace failure_budget_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using Catch::Contains;

namespace {

JobSpec spec_of(std::uint64_t failures, std::uint32_t percent) {
  JobSpec spec;
  spec.policy.max_failures = failures;
  spec.policy.max_failure_percent = percent;
  return spec;
}

std::optional<StateChange> fail_one(FailureBudget& budget,
                                    OutcomeClass cls = OutcomeClass::bad_line) {
  return budget.ended(cls, "wrong", "doc-1 (in.jsonl:1): HTTP 400 wrong: no");
}
std::optional<StateChange> succeed(FailureBudget& budget) {
  return budget.ended(OutcomeClass::ok, "", "");
}

constexpr EndpointId a{1}, b{2};
constexpr Time begin{std::chrono::hours{1}};

// Is refused twice, so long after each other, and the second time with these words.
std::optional<StateChange> refused_for(FailureBudget& budget, EndpointId endpoint, Duration time,
                                       std::size_t alternatives = 1,
                                       const std::string& what = "401 key") {
  CHECK_FALSE(budget.refuses({endpoint, "http://a", "401 key", "HTTP 401", alternatives}, begin));
  return budget.refuses({endpoint, "http://a", what, "doc-1: HTTP 401", alternatives},
                        begin + time);
}

} // namespace

TEST_CASE("a job pauses at its number of failures, and not before") {
  FailureBudget budget{spec_of(3, 0)};
  for (int n = 0; n < 1'000; ++n) CHECK_FALSE(succeed(budget));
  CHECK_FALSE(fail_one(budget));
  CHECK_FALSE(fail_one(budget));
  const auto stop = fail_one(budget);
  REQUIRE(stop);
  CHECK(stop->state == JobState::paused);
  CHECK(stop->reason == JobReason::failures);
  CHECK_THAT(stop->sentence, Contains("3 of 1003 items failed") && Contains("--max-failures 3") &&
                                 Contains("bad_line, wrong") && Contains("in.jsonl:1"));
}

TEST_CASE("a share of failures counts from a hundred terminal items on") {
  FailureBudget budget{spec_of(0, 50)};
  for (int n = 0; n < 99; ++n) CHECK_FALSE(fail_one(budget));
  CHECK(fail_one(budget));
}

TEST_CASE("a share of failures just below the limit goes on") {
  FailureBudget budget{spec_of(0, 50)};
  for (int n = 0; n < 101; ++n) CHECK_FALSE(succeed(budget));
  for (int n = 0; n < 100; ++n) CHECK_FALSE(fail_one(budget));
  CHECK(fail_one(budget)); // 101 of 202
}

TEST_CASE("without limits nothing pauses, and cancelled items are no failures") {
  FailureBudget without{spec_of(0, 0)};
  for (int n = 0; n < 1'000; ++n) CHECK_FALSE(fail_one(without));
  FailureBudget budget{spec_of(1, 50)};
  for (int n = 0; n < 1'000; ++n) CHECK_FALSE(fail_one(budget, OutcomeClass::cancelled));
}

TEST_CASE("the leading cause is named, whichever came first") {
  FailureBudget budget{spec_of(3, 0)};
  fail_one(budget, OutcomeClass::timeout);
  fail_one(budget, OutcomeClass::bad_line);
  CHECK_THAT(fail_one(budget, OutcomeClass::bad_line)->sentence, Contains("2 of them by bad_line"));
}

TEST_CASE("more causes than are told apart are counted together") {
  FailureBudget budget{spec_of(200, 0)};
  for (int n = 0; n < 199; ++n)
    CHECK_FALSE(budget.ended(OutcomeClass::bad_line, std::to_string(n), "sample"));
  CHECK_THAT(budget.ended(OutcomeClass::bad_line, "199", "sample")->sentence,
             Contains("136 of them by bad_line, other"));
}

TEST_CASE("who resumes a job is not stopped by its past") {
  FailureBudget budget{spec_of(2, 0)};
  fail_one(budget);
  CHECK(fail_one(budget));
  budget.resumed();
  CHECK_FALSE(fail_one(budget));
  CHECK(fail_one(budget));
}

TEST_CASE("the only endpoint's refusals pause the job when they have been the same for 20 s") {
  FailureBudget early{spec_of(0, 50)};
  CHECK_FALSE(refused_for(early, a, refusals_pause_after - std::chrono::nanoseconds{1}));
  FailureBudget budget{spec_of(0, 50)};
  const auto stop = refused_for(budget, a, refusals_pause_after);
  REQUIRE(stop);
  CHECK(stop->state == JobState::paused);
  CHECK(stop->reason == JobReason::endpoint);
  CHECK_THAT(stop->sentence, Contains("http://a refuses") && Contains("HTTP 401"));
}

TEST_CASE("another refusal, or a call that is taken, begins the 20 s anew") {
  FailureBudget other{spec_of(0, 50)};
  CHECK_FALSE(refused_for(other, a, refusals_pause_after, 1, "404 model"));
  FailureBudget taken{spec_of(0, 50)};
  CHECK_FALSE(taken.refuses({a, "http://a", "401 key", "HTTP 401", 1}, begin));
  taken.took(a);
  CHECK_FALSE(
      taken.refuses({a, "http://a", "401 key", "HTTP 401", 1}, begin + refusals_pause_after));
}

TEST_CASE("a job goes on while one of its endpoints has not refused it for so long") {
  FailureBudget budget{spec_of(0, 50)};
  for (int n = 0; n < 100; ++n) CHECK_FALSE(refused_for(budget, a, refusals_pause_after, 2));
  CHECK_THAT(refused_for(budget, b, refusals_pause_after, 2)->sentence,
             Contains("every endpoint refuses"));
}

TEST_CASE("an endpoint that takes other calls refuses only after many refusals in a row") {
  FailureBudget budget{spec_of(0, 50)};
  Time now = begin;
  const auto refused = [&] {
    now += refusals_pause_after;
    return budget.refuses({a, "http://a", "404 model", "HTTP 404", 1}, now);
  };
  for (int round = 0; round < 2; ++round) {
    budget.took(a);
    CHECK(budget.takes(a));
    for (std::uint32_t n = 1; n < refusals_of_proved; ++n) CHECK_FALSE(refused());
  }
  CHECK(refused());
}

TEST_CASE("one endpoint that works keeps the job going") {
  FailureBudget budget{spec_of(0, 50)};
  budget.took(a);
  for (int n = 0; n < 100; ++n) CHECK_FALSE(refused_for(budget, b, refusals_pause_after, 2));
}

} // namespace failure_budget_test
