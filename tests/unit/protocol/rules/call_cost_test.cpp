// What a call may cost and has cost.
#include "protocol/job/estimate.hpp"
#include "protocol/rules/call_cost.hpp"
#include "protocol/rules/priced.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>

namespace call_cost_test {

using namespace gristmill;

namespace {

constexpr TokenPrice price{10'000'000, 30'000'000}; // $10 and $30 for 1M tokens

protocol::Outcome outcome(OutcomeClass cls, std::uint16_t status, std::string code = "") {
  protocol::Outcome ended;
  ended.cls = cls;
  ended.http_status = status;
  ended.code = std::move(code);
  return ended;
}

} // namespace

TEST_CASE("The most that a call may cost is its tokens' bound times the prices", "[money]") {
  CHECK(most_cost(price, 100, 0) == nano_usd(1'000'000));
  CHECK(most_cost(price, 100, 10) == nano_usd(1'300'000));
  CHECK(most_cost(price, std::uint64_t{0} - 1, 1) == usd_max);
}

TEST_CASE("A reported usage is what a call costs, whatever became of it", "[money]") {
  auto ended = outcome(OutcomeClass::policy, 200);
  ended.usage = {true, 100, 10, 0, 0};
  CHECK(cost_of_call(ended, price, nano_usd(5'000'000)).amount == nano_usd(1'300'000));
  CHECK(cost_of_call(ended, price, nano_usd(0)).known);
}

TEST_CASE("Without a usage a call costs nothing only if it cannot have been answered", "[money]") {
  const auto cost = [](const protocol::Outcome& ended) {
    return cost_of_call(ended, price, nano_usd(500)).amount;
  };
  CHECK(cost(outcome(OutcomeClass::ok, 200)) == nano_usd(500));
  CHECK(cost(outcome(OutcomeClass::transient, 200)) == nano_usd(500));
  CHECK(cost(outcome(OutcomeClass::unreachable, 0, "connection_lost")) == nano_usd(500));
  CHECK(cost(outcome(OutcomeClass::timeout, 0, "timeout")) == nano_usd(500));
  CHECK(cost(outcome(OutcomeClass::cancelled, 0)) == nano_usd(500));
  CHECK(cost(outcome(OutcomeClass::unreachable, 0, "connect_refused")) == nano_usd(0));
  CHECK(cost(outcome(OutcomeClass::timeout, 0, "connect_timeout")) == nano_usd(0));
  CHECK(cost(outcome(OutcomeClass::transient, 500)) == nano_usd(0));
  CHECK(cost(outcome(OutcomeClass::rate, 429)) == nano_usd(0));
  CHECK(cost(outcome(OutcomeClass::config, 0, "key_not_allowed")) == nano_usd(0));
  CHECK_FALSE(cost_of_call(outcome(OutcomeClass::ok, 200), price, nano_usd(0)).known);
  CHECK(cost_of_call(outcome(OutcomeClass::rate, 429), price, nano_usd(0)).known);
}

TEST_CASE("A job without a known price is told which model lacks it", "[money]") {
  JobSpec spec;
  spec.shape.models = {"a"};
  spec.endpoints.emplace_back().url = "http://host/v1";
  PoolSpec a, b;
  a.model = "a";
  a.price = price;
  b.model = "b";
  CHECK(why_unpriced(spec, {}).find("\"a\"") != std::string::npos);
  CHECK(why_unpriced(spec, {b}).find("price_input") != std::string::npos);
  CHECK(why_unpriced(spec, {a, b}).empty());
  spec.policy.fallback_model = "b";
  CHECK(why_unpriced(spec, {a, b}).find("\"b\"") != std::string::npos);
  spec.policy.fallback_model.clear();
  a.fallback = "b";
  CHECK(why_unpriced(spec, {a, b}).empty()); // endpoints of its own have no fallback of a pool
  spec.endpoints.clear();
  CHECK(why_unpriced(spec, {a, b}).find("\"b\"") != std::string::npos);
  spec.shape.models.clear();
  CHECK(why_unpriced(spec, {a, b}).empty());
  CHECK_FALSE(why_unpriced(spec, {b}).empty());
}

TEST_CASE("A budget of money wants a limit on the answers to documents", "[money]") {
  JobSpec spec;
  spec.shape.models = {"a"};
  spec.shape.prompt = "{{text}}";
  PoolSpec pool;
  pool.model = "a";
  pool.price = price;
  CHECK(why_unpriced(spec, {pool}).find("--max-tokens") != std::string::npos);
  JobSpec lines = spec; // may state limits of their own
  lines.shape.prompt.clear();
  CHECK(why_unpriced(lines, {pool}).empty());
  lines.shape.task = Task::classify;
  CHECK_FALSE(why_unpriced(lines, {pool}).empty());
  JobSpec limited = spec;
  limited.shape.params = R"({"max_tokens":16})";
  CHECK(why_unpriced(limited, {pool}).empty());
  JobSpec embed = spec;
  embed.shape.task = Task::embed;
  CHECK(why_unpriced(embed, {pool}).empty());
  PoolSpec known = pool;
  known.max_output_tokens = 1;
  CHECK(why_unpriced(spec, {known}).empty());
  PoolSpec free_answers = pool;
  free_answers.price.output = 0;
  CHECK(why_unpriced(spec, {free_answers}).empty());
}

TEST_CASE("A job's total is estimated from what its items have used so far", "[money]") {
  JobCounts counts;
  counts.total = 1'000;
  counts.completed = 8;
  counts.failed = 2;
  counts.prompt_tokens = 50;
  counts.completion_tokens = 30;
  counts.cost = nano_usd(7);
  CHECK_FALSE(estimate_of(counts)); // not all is read
  counts.total_known = true;
  CHECK(estimate_of(counts)->prompt_tokens == 5'000);
  CHECK(estimate_of(counts)->completion_tokens == 3'000);
  CHECK(estimate_of(counts)->cost == nano_usd(700));
  counts.completed = counts.failed = 0;
  CHECK_FALSE(estimate_of(counts));
}

TEST_CASE("A budget of money is a number of US$ in a job's JSON, and nothing where there is none",
          "[money]") {
  JobSpec spec;
  CHECK(job_spec_from_json(to_json(spec))->limits.budget == Usd{});
  for (const Usd budget : {nano_usd(1), nano_usd(20'000'001), usd_max}) {
    spec.limits.budget = budget;
    CHECK(job_spec_from_json(to_json(spec))->limits.budget == budget);
  }
  CHECK(job_spec_from_json(R"({"budget_usd":0.02})")->limits.budget == nano_usd(20'000'000));
  CHECK(job_spec_from_json(R"({"budget_usd":2})")->limits.budget == nano_usd(2'000'000'000));
  for (const char* bad : {"-1", "1000001", "\"1\"", "null"})
    CHECK_FALSE(job_spec_from_json(std::string{R"({"budget_usd":)"} + bad + "}"));
}

} // namespace call_cost_test
