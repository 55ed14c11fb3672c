// What a part asks for before it is offered, and which parts go together in a call.
#include "actors/supervisor/call_planner.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "tests/unit/nano_usd.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace call_planner_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using Catch::Contains;
using namespace std::string_literals;

namespace {

constexpr std::uint64_t request_overhead = 128; // and the "{}" of no parameters, as bound.cpp says

// A line whose body has `members` beside its model.
std::string line(std::string_view members = "", std::string_view model = "small") {
  return fmt::format(
      R"({{"custom_id":"a","url":"/v1/chat/completions","body":{{"model":"{}"{}}}}})", model,
      members);
}
std::uint64_t body_bytes(std::string_view members = "") {
  return fmt::format(R"({{"model":"small"{}}})", members).size();
}

PoolSpec pool(std::string model, std::string fallback = "") {
  PoolSpec pool;
  pool.model = std::move(model);
  pool.fallback = std::move(fallback);
  return pool;
}

PlannedAsk plan(const JobSpec& spec, const std::string& raw,
                const std::vector<PoolSpec>& pools = {}, bool on_fallback = false) {
  const auto ask = CallPlanner{spec, pools}.plan({}, ItemKind::batch_line, raw, on_fallback);
  REQUIRE(ask);
  return *ask;
}

RequestKey key_of(const JobSpec& spec, const PartNumber& part, const std::string& raw,
                  ItemKind kind = ItemKind::batch_line) {
  return CallPlanner{spec, {}}.request(part, kind, raw).key;
}

PlannedAsk ask_of(std::string model, std::uint64_t token_bound = 0, std::uint64_t output_bound = 0,
                  std::uint64_t prefix = 0) {
  PlannedAsk ask;
  ask.model = std::move(model);
  ask.token_bound = token_bound;
  ask.output_bound = output_bound;
  ask.prefix = prefix;
  ask.pack = 5;
  return ask;
}
protocol::PlannedPart part(std::uint32_t number) {
  return {{JobId{7}, 0, number}, ItemKind::text, "raw"};
}
using Endpoints = std::vector<EndpointId>;

} // namespace

TEST_CASE("a call may be charged its body's bytes and as many tokens as its answers may have") {
  const auto [members, output] = GENERATE(table<std::string, std::uint64_t>({
      {"", 4'096}, // nothing says how long
      {R"(,"max_tokens":17)", 17},
      {R"(,"max_completion_tokens":17,"n":3)", 51},
  }));
  CAPTURE(members);
  const PlannedAsk ask = plan({}, line(members));
  CHECK(ask.output_bound == output);
  CHECK(ask.token_bound == body_bytes(members) + request_overhead + 2 + output);
}

TEST_CASE("a pool says how long an answer is whose request does not") {
  std::vector<PoolSpec> pools{pool("small")};
  pools[0].max_output_tokens = 99;
  CHECK(plan({}, line(), pools).output_bound == 99);
  CHECK(plan({}, line(R"(,"max_tokens":17)"), pools).output_bound == 17);
  CHECK(plan({}, line("", "other"), pools).output_bound == 4'096);
}

TEST_CASE("under a budget of money an answer without a limit is no call, if it costs anything") {
  const auto what = GENERATE(as<std::string>{}, "unlimited", "stated", "by its pool", "for nothing",
                             "of no pool", "no budget");
  CAPTURE(what);
  JobSpec spec;
  if (what != "no budget") spec.limits.budget = nano_usd(1);
  std::vector<PoolSpec> pools;
  if (what != "of no pool") pools.push_back(pool("small"));
  for (PoolSpec& one : pools) {
    one.price.input = 5;
    one.price.output = what == "for nothing" ? 0 : 5;
    one.max_output_tokens = what == "by its pool" ? 1 : 0;
  }
  const auto ask = CallPlanner{spec, pools}.plan(
      {}, ItemKind::batch_line, line(what == "stated" ? R"(,"max_tokens":17)" : ""), false);
  CHECK(ask.has_value() == (what != "unlimited"));
  if (ask) return;
  CHECK(ask.error().cls == OutcomeClass::bad_line);
  CHECK(ask.error().code == "unlimited_answer");
  CHECK_THAT(ask.error().message, Contains("--budget-usd") && Contains("--max-tokens"));
}

TEST_CASE(
    "parts ask the same if their requests are equal, but what joins answers asks for itself") {
  JobSpec spec;
  spec.shape.models = {"m", "n"};
  spec.shape.judge_model = "m";
  spec.shape.prompt = spec.shape.reduce_prompt = spec.shape.judge_prompt = "{{text}}";
  const std::string one = R"({"id":"1","text":"x"})", two = R"({"text":"x","id":"2"})";
  const auto key = [&](const PartNumber& part, const std::string& raw) {
    return key_of(spec, part, raw, ItemKind::json_object);
  };
  const RequestKey item = key({0, 0, 0}, one);
  CHECK(item);
  CHECK(key({0, 0, 5}, two) == item);
  CHECK(key({1, 0, 0}, one) != item); // of another model
  CHECK(key({0, 0, 0}, R"({"text":"y"})") != item);
  const RequestKey step = key({0, 1, 0}, one), judge = key(PartNumber::judge(2), one);
  CHECK(key({0, 2, 1}, two) == step);
  CHECK(step != item);
  CHECK(judge != item);
  CHECK(judge != step);
}

TEST_CASE("what a part asks is known by its first model, and what it cannot ask by none") {
  JobSpec spec;
  const RequestKey own = key_of(spec, {}, line("", "small"));
  CHECK(own);
  spec.policy.fallback_model = "large";
  CHECK(key_of(spec, {}, line("", "small")) == own);
  CHECK(key_of(spec, {}, line("", "large")) != own);
  CHECK(key_of(spec, {}, line(R"(,"user":"one")", "small")) == own);
  CHECK_FALSE(key_of(spec, {}, "{}"));
  CHECK_FALSE(key_of(spec, {}, "garbage"));
  // An endpoint that names the model itself may be asked the same.
  const std::string unnamed = R"({"custom_id":"a","url":"/v1/chat/completions","body":{}})";
  CHECK(key_of(JobSpec{}, {}, unnamed));
  CHECK(key_of(JobSpec{}, {}, unnamed) != own);
}

TEST_CASE("what the template makes too long is no call") {
  const std::size_t over = GENERATE(0u, 1u);
  JobSpec spec;
  spec.shape.prompt = "{{text}}{{text}}" + std::string(2 + over, '.');
  const std::string raw(limits::request_bytes_max / 2 - 1, 'x');
  const auto ask = CallPlanner{spec, {}}.plan({}, ItemKind::text, raw, false);
  CHECK(ask.has_value() == (over == 0));
  if (ask) return;
  CHECK(ask.error().cls == OutcomeClass::too_long);
  CHECK(ask.error().code == "exceeds_limit");
  CHECK_THAT(ask.error().message, Contains(fmt::format("got {}", limits::request_bytes_max + 1)));
}

TEST_CASE("a step that joins the answers to chunks asks its own model, by its own template") {
  JobSpec spec;
  spec.shape.models = {"small", "large"};
  spec.shape.system = std::string(5'000, 's');
  spec.shape.prompt = "{{text}}{{text}}{{text}}";
  spec.shape.chunk_tokens = 100;
  spec.shape.reduce_prompt = "As one: {{answers}}";
  const CallPlanner planner{spec, {}};
  const std::string raw = R"({"answers":"a\n\nb"})";
  const auto chunk = planner.plan({1, 0, 3}, ItemKind::json_object, raw, false);
  const auto step = planner.plan({1, 1, 0}, ItemKind::json_object, raw, false);
  const auto above = planner.plan({0, 2, 0}, ItemKind::json_object, raw, false);
  REQUIRE((chunk && step && above));
  CHECK(step->model == "large");
  CHECK(above->model == "small");
  CHECK(step->token_bound == above->token_bound);
  CHECK(step->token_bound < chunk->token_bound - 5'000);
  const std::string huge =
      fmt::format(R"({{"answers":"{}"}})", std::string(limits::request_bytes_max, 'x'));
  const auto none = planner.plan({0, 1, 0}, ItemKind::json_object, huge, false);
  REQUIRE_FALSE(none);
  CHECK(none.error().cls == OutcomeClass::too_long);
}

TEST_CASE("a part asks for its own model, or for the fallback once it was sent there") {
  JobSpec spec;
  spec.policy.fallback_model = "large";
  CHECK(plan(spec, line()).model == "small");
  CHECK(plan(spec, line()).has_fallback);
  CHECK(plan(spec, line(), {}, true).model == "large");
  CHECK_FALSE(plan(spec, line("", "large")).has_fallback); // it is no other
  const std::vector<PoolSpec> pools{pool("small", "large"), pool("large")};
  CHECK(plan({}, line(), pools, true).model == "large");
  CHECK_FALSE(plan({}, line("", "large"), pools).has_fallback);
  // The configuration has lost it meanwhile.
  CHECK(plan({}, line(), {}, true).model == "small");
  spec.shape.models = {"medium"};
  CHECK(plan(spec, line()).model == "medium"); // whatever the line says
  const CallPlanner planner{spec, {}};
  CHECK(planner.has_fallback({}, ItemKind::batch_line, line(), false));
}

TEST_CASE("calls that begin alike for long enough have one prefix") {
  const auto prefix_of = [](std::size_t bytes, std::string_view end) {
    const std::string quoted = fmt::format(R"("{}{}")", std::string(bytes, 'x'), end);
    return plan({}, line(R"(,"prompt":)" + quoted)).prefix;
  };
  CHECK(prefix_of(1'021, "") == 0); // with its quotes 1,023 bytes
  CHECK(prefix_of(1'022, "") != 0);
  CHECK(prefix_of(1'023, "one") == prefix_of(1'023, "two"));
  CHECK(prefix_of(1'022, "one") != prefix_of(1'022, "two"));
}

TEST_CASE("a call takes parts until it has as many as it may, or as one of them may be among") {
  CallDraft draft{CallId{5}, 0, {}, {4}};
  for (std::uint32_t n = 0; n < 4; ++n) {
    CHECK_FALSE(draft.is_full());
    CHECK((n == 0 || draft.takes(part(n), ask_of(""), {}, 9)));
    draft.add(part(n), ask_of(""), 9);
    CHECK(draft.size() == n + 1);
  }
  CHECK(draft.is_full());
  CHECK_FALSE(draft.takes(part(4), ask_of(""), {}, 9));
  CallDraft small{CallId{5}, 0, {}, {4}};
  small.add(part(0), ask_of(""), 9);
  CHECK_FALSE(small.takes(part(1), ask_of(""), {}, 1));
  CHECK(small.takes(part(1), ask_of(""), {}, 2));
  small.add(part(1), ask_of(""), 2);
  CHECK(small.is_full());
  CHECK_FALSE(small.takes(part(2), ask_of(""), {}, 9));
}

TEST_CASE("parts go together that agree, ask for one model and failed at the same endpoints") {
  CallDraft draft{CallId{5}, 0, {EndpointId{1}, EndpointId{2}}, {4}};
  draft.add(part(0), ask_of("small"), 9);
  CHECK(draft.takes(part(1), ask_of("small"), {EndpointId{1}, EndpointId{2}}, 2));
  CHECK_FALSE(draft.takes(part(1), ask_of("large"), {EndpointId{1}, EndpointId{2}}, 2));
  CHECK_FALSE(draft.takes(part(1), ask_of("small"), {EndpointId{1}}, 2));
  CHECK_FALSE(draft.takes(part(1), ask_of("small"), {}, 2));
  PlannedAsk other = ask_of("small");
  for (const std::uint64_t pack : {0, 6}) {
    other.pack = pack;
    CHECK_FALSE(draft.takes(part(1), other, {EndpointId{1}, EndpointId{2}}, 2));
  }
  CallDraft lone{CallId{5}, 0, {}, {4}}; // what agrees with nothing goes by itself
  other.pack = 0;
  lone.add(part(0), other, 9);
  CHECK(lone.is_full());
  CHECK_FALSE(lone.takes(part(1), other, {}, 9));
}

TEST_CASE("a call takes no more tokens and bytes than it may, but a single part of any size") {
  const auto [tokens, takes] =
      GENERATE(table<std::uint64_t, bool>({{9, true}, {10, true}, {11, false}}));
  CallDraft draft{CallId{5}, 0, {}, {4, 30}};
  draft.add(part(0), ask_of("", 20), 9);
  CHECK(draft.takes(part(1), ask_of("", tokens), {}, 9) == takes);
  CallDraft large{CallId{5}, 0, {}, {4, 30}};
  large.add(part(0), ask_of("", 31), 9);
  CHECK(large.size() == 1);
  CHECK_FALSE(large.takes(part(1), ask_of("", 0), {}, 9));

  protocol::PlannedPart half = part(0), more = part(1);
  half.raw.assign(limits::pack_bytes_max / 2 - 64, 'x');
  more.raw.assign(limits::pack_bytes_max / 2 - 64 + (takes ? 0 : 1), 'x');
  CallDraft long_one{CallId{5}, 0, {}, {4}};
  long_one.add(half, ask_of(""), 9);
  CHECK(long_one.takes(more, ask_of(""), {}, 9) == takes);
}

TEST_CASE("the texts of a call have no more tokens than a server takes, whatever a call may cost") {
  const std::uint64_t left =
      GENERATE(limits::pack_tokens_max - 1, limits::pack_tokens_max, limits::pack_tokens_max + 1);
  CallDraft draft{CallId{5}, 0, {}, {4}};
  PlannedAsk ask = ask_of("", 10 * limits::pack_tokens_max);
  ask.pack_tokens = 100;
  draft.add(part(0), ask, 9);
  ask.pack_tokens = left - 100;
  CHECK(draft.takes(part(1), ask, {}, 9) == (left <= limits::pack_tokens_max));
}

TEST_CASE("a text to embed has its bytes as tokens, or as many as the tokenizer counts") {
  JobSpec spec;
  spec.shape.task = Task::embed;
  spec.shape.prompt = "of {{text}}";
  const std::string line =
      R"({"custom_id":"a","url":"/v1/embeddings","body":{"input":"the \u00e9"}})";
  const auto pack_tokens = [&](const CallPlanner& planner, ItemKind kind, const std::string& raw) {
    return planner.plan({}, kind, raw, false).value().pack_tokens;
  };
  const CallPlanner by_bytes{spec, {}};
  // Not the overhead of a request, which no server counts.
  CHECK(pack_tokens(by_bytes, ItemKind::text, "the the") >= std::string{"of the the"}.size());
  CHECK(pack_tokens(by_bytes, ItemKind::text, "the the") < request_overhead);
  CHECK(pack_tokens(by_bytes, ItemKind::batch_line, line) == R"("the \u00e9")"s.size());
  CHECK(pack_tokens(by_bytes, ItemKind::batch_line, ::call_planner_test::line()) == 0);
  const auto ranks =
      bpe::Tokenizer::read(test::rank_file({"th", "the", " the"}), "like-cl100k_base");
  const CallPlanner counting{spec, {}, &ranks.value()};
  CHECK(pack_tokens(counting, ItemKind::text, "the the") == 2 + 2); // "o", "f", " the", " the"
  CHECK(pack_tokens(counting, ItemKind::batch_line, line) == 1 + 1 + 2);
}

TEST_CASE("the bounds of a call are the sums of its parts' bounds, its prefix is the first one's") {
  CallDraft draft{CallId{5}, 0, {EndpointId{1}}, {4}};
  draft.add(part(0), ask_of("small", 100, 10, 77), 9);
  draft.add(part(1), ask_of("small", 200, 20, 88), 9);
  draft.add(part(2), ask_of("small", 400, 40), 9);
  CHECK(draft.call() == CallId{5});
  const OfferedCall call = std::move(draft).take();
  CHECK(call.planned.call == CallId{5});
  CHECK(call.planned.model == "small");
  CHECK(call.planned.parts == std::vector{part(0), part(1), part(2)});
  CHECK(call.token_bound == 700);
  CHECK(call.output_bound == 70);
  CHECK(call.prefix == 77);
  CHECK(call.failed_at == Endpoints{EndpointId{1}});
}

} // namespace call_planner_test
