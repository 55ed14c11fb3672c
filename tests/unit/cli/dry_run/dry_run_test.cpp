// What a dry run adds up, what it costs, and how it is said.
#include "cli/dry_run/dry_run.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dry_run_test {

using namespace gristmill;
using namespace gristmill::cli;

namespace {

intake::Item line_item(const std::string& model, const std::string& text = "some words") {
  intake::Item item;
  item.raw = R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{)";
  if (!model.empty()) item.raw += R"("model":")" + model + "\",";
  item.raw += R"("max_tokens":100,"messages":[{"role":"user","content":")" + text + R"("}]}})";
  return item;
}

intake::Item bad_item(const std::string& why) {
  intake::Item item;
  item.bad = why;
  return item;
}

JobSpec spec_of() {
  JobSpec spec;
  spec.inputs.push_back({"/in", "in"});
  spec.endpoints.emplace_back().url = "http://host/v1";
  return spec;
}

const DryRunPlaces places{"/out.jsonl", "/out.jsonl.state", false};

} // namespace

TEST_CASE("Bad lines are counted, the first ones kept, and good ones estimated", "[dry_run]") {
  const JobSpec spec = spec_of();
  Forecaster forecaster{spec};
  CHECK(forecaster.item(line_item("m"), "in:1").empty());
  const auto samples_max = Forecast::samples_max;
  for (std::size_t n = 0; n <= samples_max; ++n)
    CHECK(forecaster.item(bad_item("why"), fmt::format("in:{}", n + 2)) == "why");
  intake::Item unrenderable = line_item("m");
  unrenderable.raw = "{}";
  CHECK_FALSE(forecaster.item(unrenderable, "in:99").empty());
  const Forecast& forecast = forecaster.forecast();
  CHECK(forecast.items == samples_max + 3);
  CHECK(forecast.bad == samples_max + 2);
  REQUIRE(forecast.samples.size() == samples_max);
  CHECK(forecast.samples.front().source == "in:2");
  CHECK(forecast.tokens.output.high == 100);
  CHECK(forecast.paths.at("/chat/completions") == 1);
}

TEST_CASE("Many models share one entry beyond those that are told apart", "[dry_run]") {
  const JobSpec spec = spec_of();
  Forecaster forecaster{spec};
  const auto distinct = Forecast::models_max;
  for (std::size_t n = 0; n < distinct; ++n)
    forecaster.item(line_item(fmt::format("m{}", n)), "in");
  CHECK(forecaster.forecast().models.size() == distinct);
  for (int n = 0; n < 100; ++n) forecaster.item(line_item(fmt::format("more-{}", n)), "in");
  CHECK(forecaster.forecast().models.size() == distinct + 1);
  CHECK(forecaster.forecast().models.at("(others)").items == 100);
  forecaster.item(line_item("m0"), "in");
  CHECK(forecaster.forecast().models.at("m0").items == 2);
}

TEST_CASE("Money is known if the price of each model is", "[dry_run]") {
  const JobSpec spec = spec_of();
  Forecaster forecaster{spec};
  CHECK_FALSE(cost_of(forecaster.forecast(), {}));
  forecaster.item(line_item("small"), "in:1");
  forecaster.item(line_item("large"), "in:2");
  const Forecast& forecast = forecaster.forecast();
  const openai::TokenRange input = forecast.models.at("small").tokens.input;
  CHECK_FALSE(cost_of(forecast, {{"small", {1, 10}}}));
  const auto usd = cost_of(forecast, {{"small", {1e6, 1e6}}, {"large", {0, 1e6}}});
  REQUIRE(usd);
  CHECK(usd->low == Approx(input.low + 1 + 1));
  CHECK(usd->likely == Approx(input.likely + 100 + 100));
  CHECK(usd->high == Approx(input.high + 100 + 100));
}

TEST_CASE("The forecast says what would be done and where the result would go", "[dry_run]") {
  JobSpec spec = spec_of();
  spec.limits.rates.requests_per_minute = 1;
  spec.limits.items = 9;
  Forecaster forecaster{spec};
  forecaster.item(line_item("m"), "in:1");
  forecaster.item(line_item(""), "in:2");
  forecaster.item(bad_item("expected something else"), "in:3");
  const auto text = to_text(forecaster.forecast(), spec, places, {});
  for (const char* part :
       {"1 file, 3 items (--limit 9), 1 bad line\n", "in:3: expected something else\n",
        "2 of POST http://host/v1/chat/completions\n", "m: 1 item, ", "1 item name none",
        "not known: there is no price of m\n", "at least 2m00s", "/out.jsonl\n", "(would be made)"})
    CHECK_THAT(text, Catch::Contains(part));
  const auto priced = to_text(forecaster.forecast(), spec, places, {{"m", {1, 1}}, {"", {1, 1}}});
  CHECK_THAT(priced, Catch::Contains("money    $0.000"));
  CHECK_THAT(to_text(forecaster.forecast(), spec, {"/out", "/state", true}, {}),
             Catch::Contains("/state (it exists"));

  const auto json = nlohmann::json::parse(to_json(forecaster.forecast(), spec, places, {}));
  CHECK(json["items"] == 3);
  CHECK(json["bad_lines"][0]["source"] == "in:3");
  CHECK(json["models"][0]["model"].is_null());
  CHECK(json["models"][1]["model"] == "m");
  CHECK(json["cost_usd"].is_null());
  CHECK(json["least_seconds"] == 120);
  CHECK(json["calls"]["/chat/completions"] == 2);
  CHECK(json["tokens"]["output"]["high"] == 200);
}

TEST_CASE("A forecast of nothing is a forecast", "[dry_run]") {
  const JobSpec spec = spec_of();
  const Forecaster forecaster{spec};
  CHECK_THAT(to_text(forecaster.forecast(), spec, places, {}), Catch::Contains("0 items"));
  CHECK(nlohmann::json::parse(to_json(forecaster.forecast(), spec, places, {}))["items"] == 0);
}

} // namespace dry_run_test
