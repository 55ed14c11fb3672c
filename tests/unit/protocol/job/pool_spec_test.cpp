// What tokens cost, and which jobs the pools take.
#include "protocol/job/pools.hpp"
#include "protocol/rules/served.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>

namespace pool_spec_test {

using namespace gristmill;

namespace {

protocol::Usage usage(std::uint64_t prompt, std::uint64_t completion) {
  protocol::Usage usage;
  usage.known = true;
  usage.prompt = prompt;
  usage.completion = completion;
  return usage;
}

JobSpec job(std::string model, std::string fallback = "") {
  JobSpec spec;
  spec.shape.models = ModelNames::of(std::move(model));
  spec.policy.fallback_model = std::move(fallback);
  return spec;
}

} // namespace

TEST_CASE("a cost is tokens times price, in whole nano-dollars", "[pools]") {
  // US$ 0.15 and 0.60 for 1M tokens: 150 and 600 nano-dollars for one.
  const TokenPrice price{150'000, 600'000};
  CHECK(cost_of_tokens(price, usage(0, 0)) == nano_usd(0));
  CHECK(cost_of_tokens(price, usage(1, 0)) == nano_usd(150));
  CHECK(cost_of_tokens(price, usage(0, 1)) == nano_usd(600));
  CHECK(cost_of_tokens(price, usage(1'000'000, 1'000'000)) == nano_usd(750'000'000));
  CHECK(cost_of_tokens({}, usage(1'000'000, 1'000'000)) == nano_usd(0));
}

TEST_CASE("the part of a nano-dollar counts as a whole one", "[pools]") {
  CHECK(cost_of_tokens({0, 500}, usage(1, 0)) == nano_usd(0));
  CHECK(cost_of_tokens({1, 0}, usage(1, 0)) == nano_usd(1));
  CHECK(cost_of_tokens({501, 0}, usage(1, 0)) == nano_usd(1));
  CHECK(cost_of_tokens({1'000, 0}, usage(1, 0)) == nano_usd(1));
  CHECK(cost_of_tokens({1'001, 0}, usage(1, 0)) == nano_usd(2));
}

TEST_CASE("an absurd usage counts as the most that a call may cost", "[pools]") {
  const std::uint64_t all = ~std::uint64_t{0};
  CHECK(cost_of_tokens({1, 0}, usage(all, 0)) == usd_max);
  CHECK(cost_of_tokens({2, 0}, usage(all, 0)) == usd_max);
  CHECK(cost_of_tokens({1, 1}, usage(all, all)) == usd_max);
  CHECK(cost_of_tokens({1'000, 0}, usage(usd_max.nano() - 1, 0)) == usd_max - nano_usd(1));
  CHECK(cost_of_tokens({1'000, 0}, usage(usd_max.nano() + 1, 0)) == usd_max);
}

TEST_CASE("a job whose model no pool serves is refused, naming those that are", "[pools]") {
  const std::set<std::string> served{"a", "b"};
  CHECK(why_not_served(job("a"), served).empty());
  CHECK(why_not_served(job(""), served).empty()); // its lines may name them
  CHECK_THAT(why_not_served(job("c"), served),
             Catch::Contains("--model") && Catch::Contains("a, b") && Catch::Contains("\"c\""));
  CHECK_THAT(why_not_served(job("a", "c"), served),
             Catch::Contains("--fallback-model") && Catch::Contains("\"c\""));
  CHECK(why_not_served(job("a", "b"), served).empty());
  JobSpec by_parameter = job("");
  by_parameter.shape.params = R"({"model":"c"})";
  CHECK_THAT(why_not_served(by_parameter, served), Catch::Contains("\"c\""));
  for (const char* model : {"", "a"})
    CHECK_THAT(why_not_served(job(model), {}), Catch::Contains("no pool is configured"));
  JobSpec own = job("c", "d");
  own.endpoints.resize(1);
  CHECK(why_not_served(own, served).empty());
  CHECK(why_not_served(own, {}).empty());
}

TEST_CASE("of many models some are named", "[pools]") {
  std::set<std::string> served;
  for (int i = 100; i < 121; ++i) served.insert("m" + std::to_string(i));
  CHECK_THAT(why_not_served(job("c"), served),
             Catch::Contains("m119") && Catch::Contains("and 1 more") && !Catch::Contains("m120"));
}

} // namespace pool_spec_test
