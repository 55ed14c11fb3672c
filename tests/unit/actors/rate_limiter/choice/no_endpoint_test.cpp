// The sentences about calls that no endpoint takes.
#include "actors/rate_limiter/choice/no_endpoint.hpp"

#include <catch2/catch.hpp>

namespace no_endpoint_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;

TEST_CASE("a call that exceeds a window everywhere hears of the largest of them") {
  RateLimits small, large, of_output;
  small.tokens_per_minute = 1'000;
  large.tokens_per_minute = 4'000;
  of_output.output_tokens_per_minute = 50;
  const auto contains = [](const std::string& text) { return Catch::Matchers::Contains(text); };
  CHECK_THAT(why_never({small, large}, {5'000, 100}),
             contains("within 4000 tokens per minute") && contains("one that may use 5000"));
  CHECK_THAT(why_never({of_output}, {5'000, 100}),
             contains("within 50 output tokens per minute") && contains("one that may use 100"));
  CHECK_THAT(why_never({small, of_output}, {1'000, 100}),
             contains("within 50 output tokens per minute"));
  CHECK_THAT(why_never({}, {5'000, 100}), contains("another window at each of them"));
}

TEST_CASE("a call of a model that nobody serves hears which are served") {
  CHECK(why_none_serves("m", {}) == "no endpoint serves the job's model, and none any other");
  CHECK(why_none_serves("m", {{"a", 1}, {"b", 2}}) ==
        "no endpoint serves the model \"m\"; served: a, b");
  CHECK(why_none_serves("", {{"a", 1}, {"b", 2}}) ==
        "the item names no model and several are served: a, b");
  CHECK(why_none_serves("a", {{"a", 1}}) ==
        "no endpoint that this worker reaches serves the model \"a\"");
  std::map<std::string, std::size_t> many;
  for (int n = 0; n < 1'000; ++n) many["model-" + std::to_string(n)] = 1;
  CHECK(why_none_serves("m", many).size() < 1'000);
}

} // namespace no_endpoint_test
