// What a dry run adds up, what it costs, and how it is said.
#include "cli/dry_run/dry_run.hpp"
#include "protocol/job/tokenizer_id.hpp"
#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "tests/unit/actors/intake/memory_pages.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <algorithm>
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

intake::Item object_item(const std::string& text) {
  intake::Item item;
  item.place.kind = ItemKind::json_object;
  item.raw = R"({"id":"a","title":"T","text":")" + text + "\"}";
  return item;
}

std::string words(std::size_t count) {
  std::string text;
  for (std::size_t n = 0; n < count; ++n) text += "word ";
  return text;
}

// Chunks of 120 words, whose answers have 50 tokens: two of them fit into a step.
JobSpec chunked_spec() {
  JobSpec spec = spec_of();
  spec.shape.models = {"m"};
  spec.shape.prompt = "{{title}}, {{chunk}} of {{chunks}}: {{text}}";
  spec.shape.max_tokens = 50;
  spec.shape.chunk_tokens = 120;
  return spec;
}

std::size_t chunks_in(const JobSpec& spec, const std::string& text) {
  return openai::chunks_of(text, {spec.shape.chunk_tokens, spec.shape.chunk_overlap}).size();
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

TEST_CASE("Each chunk is a call with its own text and the item's other fields", "[dry_run]") {
  const JobSpec spec = chunked_spec();
  const std::string text = words(1'000);
  const std::size_t chunks = chunks_in(spec, text);
  REQUIRE(chunks > 5);
  Forecaster forecaster{spec};
  CHECK(forecaster.item(object_item(text), "in:1").empty());
  CHECK(forecaster.item(object_item("short"), "in:2").empty());
  const Forecast& forecast = forecaster.forecast();
  CHECK(forecast.items == 2);
  CHECK(forecast.chunks == chunks + 1);
  CHECK(forecast.calls == chunks + 1);
  CHECK(forecast.reduce_calls == 0);
  CHECK(forecast.models.at("m").items == 2);
  CHECK(forecast.models.at("m").calls == chunks + 1);
  CHECK(forecast.tokens.output.likely == 50. * static_cast<double>(chunks + 1));
  // The text once, and beside each chunk only what its request has of its own.
  const double whole = openai::text_tokens(text).likely;
  CHECK(forecast.tokens.input.likely > whole);
  CHECK(forecast.tokens.input.likely < whole + 40. * static_cast<double>(chunks + 1));
}

TEST_CASE("With a tokenizer texts are counted, divided by it, and both is said", "[dry_run]") {
  const auto bytes = std::make_shared<const bpe::Tokenizer>(
      bpe::Tokenizer::read(test::rank_file({}), "like-cl100k_base").value());
  JobSpec spec = chunked_spec();
  spec.shape.tokenizer = to_string(TokenizerId{bytes->name(), bytes->hash()});
  const std::string text = words(100);
  Forecaster estimating{spec}, counting{spec, nullptr, nullptr, bytes};
  for (Forecaster* forecaster : {&estimating, &counting})
    CHECK(forecaster->item(object_item(text), "in:1").empty());
  CHECK(estimating.forecast().chunks == 1);
  const Forecast& forecast = counting.forecast();
  CHECK(forecast.chunks == text.size() / 120 + (text.size() % 120 != 0));
  CHECK(forecast.tokens.input.low > static_cast<double>(text.size()));
  const std::string said = to_text(forecast, spec, places, {});
  CHECK_THAT(said, Catch::Contains("texts are counted with like-cl100k_base"));
  const auto json = nlohmann::json::parse(to_json(forecast, spec, places, {}));
  CHECK(json["tokenizer"]["name"] == bytes->name());
  CHECK(json["tokenizer"]["sha256"] == bytes->hash());
  spec.shape.tokenizer.clear();
  CHECK(nlohmann::json::parse(to_json(forecast, spec, places, {}))["tokenizer"].is_null());
  CHECK_THAT(to_text(forecast, spec, places, {}), !Catch::Contains("counted"));
}

TEST_CASE("What a chunk repeats of the one before is counted as often as it is sent", "[dry_run]") {
  JobSpec spec = chunked_spec();
  const auto input_of = [](const JobSpec& job) {
    Forecaster forecaster{job};
    forecaster.item(object_item(words(1'000)), "in:1");
    return forecaster.forecast().tokens.input.likely;
  };
  const double without = input_of(spec);
  spec.shape.chunk_overlap = 60;
  CHECK(input_of(spec) > 1.4 * without);
}

TEST_CASE("The calls that join answers are a tree over those of the likely length", "[dry_run]") {
  JobSpec spec = chunked_spec();
  spec.shape.reduce_prompt = "Of {{title}}: {{answers}}";
  const auto forecast_of = [](const JobSpec& job, std::size_t word_count) {
    Forecaster forecaster{job};
    CHECK(forecaster.item(object_item(words(word_count)), "in:1").empty());
    return forecaster.forecast();
  };
  for (const std::size_t count : {10u, 200u, 400u, 600u, 900u}) {
    CAPTURE(count);
    const std::size_t chunks = chunks_in(spec, words(count));
    std::size_t steps = 0, left = chunks;
    do steps += left = std::max<std::size_t>(left / 2, 1); // an odd one goes with those before it
    while (left > 1);
    const Forecast forecast = forecast_of(spec, count);
    CHECK(forecast.chunks == chunks);
    CHECK(forecast.reduce_calls == steps);
    CHECK(forecast.calls == chunks + steps);
    CHECK(forecast.models.at("m").items == 1);
    CHECK(forecast.tokens.output.likely == 50. * static_cast<double>(chunks + steps));
  }
  REQUIRE(chunks_in(spec, words(400)) == 4);
  // Each answer of a chunk or a step is read once.
  const double joined = forecast_of(spec, 400).tokens.input.likely;
  spec.shape.reduce_prompt.clear();
  const double chunks = forecast_of(spec, 400).tokens.input.likely;
  CHECK(joined - chunks > 6 * 50);
  CHECK(joined - chunks < 6 * 50 + 3 * 40);
}

TEST_CASE("With several models each has its own chunks and steps, and the judge one call",
          "[dry_run]") {
  JobSpec spec = chunked_spec();
  spec.shape.models = {"m", "n"};
  spec.shape.reduce_prompt = "{{answers}}";
  spec.shape.judge_model = "j";
  spec.shape.judge_prompt = "{{answer.1}} or {{answer.2}}?";
  const auto judge_input = [](const JobSpec& job) {
    Forecaster forecaster{job};
    CHECK(forecaster.item(object_item(words(400)), "in:1").empty());
    const Forecast& forecast = forecaster.forecast();
    CHECK(forecast.chunks == 4);
    CHECK(forecast.models.at("j").calls == 1);
    CHECK(forecast.models.at("m").calls == forecast.models.at("n").calls);
    return forecast.models.at("j").tokens.input.likely;
  };
  const double of_reduced = judge_input(spec); // two answers
  spec.shape.reduce_prompt.clear();
  CHECK(judge_input(spec) == Approx(of_reduced + 6 * 50)); // eight
  spec.shape.task = Task::classify;
  spec.shape.labels = {"a", "b"};
  CHECK(judge_input(spec) < of_reduced + 100); // two labels, and what asks for them
}

TEST_CASE("What a template asks of each chunk or step may be missing", "[dry_run]") {
  JobSpec spec = chunked_spec();
  spec.shape.reduce_prompt = "{{answers}} of {{author}}";
  Forecaster forecaster{spec};
  CHECK_THAT(forecaster.item(object_item("text"), "in:1"), Catch::Contains("\"author\""));
  CHECK(forecaster.forecast().bad == 1);
  CHECK(forecaster.forecast().chunks == 0);
}

TEST_CASE("A forecast in chunks says how many there are and what joins them", "[dry_run]") {
  JobSpec spec = chunked_spec();
  spec.shape.reduce_prompt = "{{answers}}";
  REQUIRE(chunks_in(spec, words(400)) == 4);
  Forecaster forecaster{spec};
  forecaster.item(object_item(words(400)), "in:1");
  const auto text = to_text(forecaster.forecast(), spec, places, {});
  for (const char* part :
       {"1 item, ", "chunks   4 of at most 120 tokens\n",
        "         3 calls to reduce their answers", "7 of POST http://host/v1/chat/completions\n",
        "m: 1 item in 7 calls, tokens in "})
    CHECK_THAT(text, Catch::Contains(part));
  const auto json = nlohmann::json::parse(to_json(forecaster.forecast(), spec, places, {}));
  CHECK(json["chunks"] == 4);
  CHECK(json["reduce_calls"] == 3);
  CHECK(json["calls"]["/chat/completions"] == 7);
  CHECK(json["models"][0]["items"] == 1);
  CHECK(json["models"][0]["calls"] == 7);
  // Without chunks nothing is said of them.
  CHECK_THAT(to_text(Forecaster{spec_of()}.forecast(), spec_of(), places, {}),
             !Catch::Contains("chunks"));
}

TEST_CASE("Equal requests are called once under --dedupe, and the others are said", "[dry_run]") {
  JobSpec spec = spec_of();
  const auto forecast_of = [](const JobSpec& job) {
    Forecaster forecaster{job, std::make_unique<MemoryPages>()};
    for (const char* model : {"m", "n"})
      for (int times = 0; times < 3; ++times)
        CHECK(forecaster.item(line_item(model), "in").empty());
    CHECK(forecaster.item(line_item("m", "other words"), "in").empty());
    return forecaster.forecast();
  };
  const Forecast all = forecast_of(spec);
  CHECK(all.calls == 7);
  CHECK(all.repeated == 0);
  CHECK_THAT(to_text(all, spec, places, {}), !Catch::Contains("--dedupe"));
  spec.policy.dedupe = true;
  const Forecast once = forecast_of(spec);
  CHECK(once.items == 7);
  CHECK(once.calls == 3);
  CHECK(once.repeated == 4);
  CHECK(once.paths.at("/chat/completions") == 3);
  CHECK(once.models.at("m").items == 4);
  CHECK(once.models.at("n").items == 3);
  CHECK(once.tokens.output.high == 300);
  CHECK(once.tokens.input.likely < all.tokens.input.likely / 2);
  CHECK_THAT(to_text(once, spec, places, {}),
             Catch::Contains("3 of POST") && Catch::Contains("4 more are equal to one of these"));
  const auto json = nlohmann::json::parse(to_json(once, spec, places, {}));
  CHECK(json["repeated"] == 4);
  CHECK(json["calls"]["/chat/completions"] == 3);
}

TEST_CASE("Equal chunks are called once under --dedupe, and the judge is asked for each item",
          "[dry_run]") {
  JobSpec spec = chunked_spec();
  spec.shape.prompt = "{{text}}";
  spec.shape.judge_model = "j";
  spec.shape.judge_prompt = "{{answer.1}}?";
  spec.policy.dedupe = true;
  const std::size_t chunks = chunks_in(spec, words(400));
  REQUIRE(chunks == 4);
  Forecaster forecaster{spec, std::make_unique<MemoryPages>()};
  for (int times = 0; times < 2; ++times)
    CHECK(forecaster.item(object_item(words(400)), "in").empty());
  const Forecast& forecast = forecaster.forecast();
  CHECK(forecast.chunks == 2 * chunks);
  CHECK(forecast.models.at("m").calls + forecast.repeated == 2 * chunks);
  CHECK(forecast.repeated >= chunks);
  CHECK(forecast.models.at("j").calls == 2);
}

TEST_CASE("Texts that are not embedded again do not go into a pack", "[dry_run]") {
  JobSpec spec = spec_of();
  const auto packed = [](const JobSpec& job) {
    Forecaster forecaster{job, std::make_unique<MemoryPages>()};
    for (const char* text : {"a", "b", "a", "a"}) {
      intake::Item item;
      item.raw = fmt::format(R"({{"custom_id":"x","method":"POST","url":"/v1/embeddings",)"
                             R"("body":{{"model":"m","input":"{}"}}}})",
                             text);
      CHECK(forecaster.item(item, "in").empty());
    }
    return forecaster.forecast().packed;
  };
  CHECK(packed(spec) == 4);
  spec.policy.dedupe = true;
  CHECK(packed(spec) == 2);
}

TEST_CASE("A forecast of nothing is a forecast", "[dry_run]") {
  const JobSpec spec = spec_of();
  const Forecaster forecaster{spec};
  CHECK_THAT(to_text(forecaster.forecast(), spec, places, {}), Catch::Contains("0 items"));
  CHECK(nlohmann::json::parse(to_json(forecaster.forecast(), spec, places, {}))["items"] == 0);
}

} // namespace dry_run_test
