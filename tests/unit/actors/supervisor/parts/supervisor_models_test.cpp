// Items that are asked of several models: each model for itself, then the judge.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <array>
#include <map>

namespace supervisor_models_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;
using Calls = std::vector<OfferedCall>;

namespace {

constexpr std::uint32_t first = 0, second = 1, judge = 2; // streams, too

PartId part(std::uint64_t item, std::uint32_t model) {
  const bool judges = model == judge;
  return {JobId{7}, item, (judges ? PartNumber::judge(judge) : PartNumber{model, 0, 0}).value()};
}
JobSpec two_models(bool judged = false) {
  JobSpec spec = spec_of();
  spec.shape.models = {"a", "b"};
  if (!judged) return spec;
  spec.shape.judge_model = "j";
  spec.shape.judge_prompt = "{{text}}: {{answer.1}} or {{answer.2}}?";
  return spec;
}

struct ModelsBench : Bench {
  explicit ModelsBench(std::uint64_t items, JobSpec its_spec = two_models())
      : Bench{good_lines(items), std::move(its_spec)} {}

  void begin(std::uint32_t calls = 100) {
    start();
    hear(supervisor->grace_over(now));
    for (const std::uint32_t stream : {first, second, judge}) want(calls, 1u << 30, stream);
  }
  // Those that are offered now, by the model that they ask for.
  std::map<std::string, Calls> by_model() {
    std::map<std::string, Calls> calls;
    for (OfferedCall& call : take_offers()) calls[call.planned.model].push_back(std::move(call));
    return calls;
  }
  void answer(const OfferedCall& call) { report(outcome(call)); }
  void answer(const Calls& calls) {
    for (const OfferedCall& call : calls) answer(call);
  }
  void take_joins(std::string_view members) {
    for (const ItemToJoin& join : std::exchange(joins, {}))
      hear(supervisor->joined(
          {{.item = join.item, .line = std::string{members}, .step = join.step}}, "", now));
  }
};

} // namespace

TEST_CASE("each item is asked of each model, as parts of its own") {
  ModelsBench bench{2};
  bench.begin();
  auto calls = bench.by_model();
  REQUIRE(calls["a"].size() == 2);
  REQUIRE(calls["b"].size() == 2);
  CHECK(calls["a"][1].planned.part_ids() == std::vector{part(1, first)});
  CHECK(calls["b"][1].planned.part_ids() == std::vector{part(1, second)});
  bench.answer(calls["a"]);
  bench.write();
  CHECK(bench.joins.empty());
  bench.answer(calls["b"][1]);
  CHECK(bench.joins.empty()); // not before it is durable
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].item == 1);
  CHECK(bench.joins[0].parts == 2);
  CHECK_FALSE(bench.joins[0].step);
}

TEST_CASE("a model without room holds no other back, until so many parts are open") {
  ModelsBench bench{1'000};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(10, 1u << 30, second); // and no more
  bench.want(500, 1u << 30, first);
  auto calls = bench.by_model();
  CHECK(calls["a"].size() == 500);
  CHECK(calls["b"].size() == 10);
  // Its parts go in their order once there is room.
  bench.want(2, 1u << 30, second);
  const Calls later = bench.take_offers();
  REQUIRE(later.size() == 2);
  CHECK(later[0].planned.part_ids() == std::vector{part(10, second)});
  CHECK(later[1].planned.part_ids() == std::vector{part(11, second)});
  bench.want(1, 1u << 30, first);
  CHECK(bench.take_offer().planned.part_ids() == std::vector{part(500, first)});
}

TEST_CASE("the judge sees the answers once all are durable") {
  ModelsBench bench{1, two_models(true)};
  bench.begin();
  auto calls = bench.by_model();
  bench.answer(calls["a"]);
  bench.answer(calls["b"]);
  CHECK(bench.joins.empty());
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].step == part(0, judge).part);
  CHECK(bench.joins[0].parts == 2);
  CHECK(bench.joins[0].last == part(0, judge).part); // its own line may be there by then
  CHECK(bench.take_offers().empty());
  bench.take_joins(R"("answer.1":"yes","answer.2":"no")");
  const OfferedCall asked = bench.take_offer();
  CHECK(asked.planned.model == "j");
  CHECK(asked.planned.part_ids() == std::vector{part(0, judge)});
  const auto raw = nlohmann::json::parse(asked.planned.parts[0].raw);
  CHECK(raw["answer.1"] == "yes");
  CHECK(raw["answer.2"] == "no");
  CHECK(raw["text"] == "some text");
  CHECK(asked.planned.parts[0].kind == ItemKind::json_object);
  bench.answer(asked);
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK_FALSE(bench.joins[0].step);
  CHECK(bench.joins[0].parts == 3);
}

TEST_CASE("one model is judged, too") {
  JobSpec spec = two_models(true);
  spec.shape.models = {"a"};
  ModelsBench bench{1, spec};
  bench.begin();
  bench.answer(bench.take_offer());
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].step == PartNumber::judge(1).value());
  CHECK(bench.lines().empty());
}

TEST_CASE("nobody judges an item of which an answer is missing") {
  ModelsBench bench{1, two_models(true)};
  bench.begin();
  auto calls = bench.by_model();
  bench.report(calls["a"].at(0), OutcomeClass::policy);
  bench.answer(calls["b"]);
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK_FALSE(bench.joins[0].step);
  CHECK(bench.joins[0].parts == 2);
}

TEST_CASE("the judge's call that fails is asked again, with the answers made anew") {
  ModelsBench bench{1, two_models(true)};
  bench.begin();
  bench.answer(bench.take_offers());
  bench.write();
  bench.take_joins(R"("answer.1":"x","answer.2":"y")");
  bench.report(bench.take_offer(), OutcomeClass::transient);
  bench.write();
  CHECK(bench.joins.empty());
  bench.tick_at(bench.now + 5min);
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].step == part(0, judge).part);
  bench.take_joins(R"("answer.1":"x","answer.2":"y")");
  CHECK(bench.take_offer().planned.model == "j");
}

TEST_CASE("what the judge is to see keeps its room while it is made") {
  ModelsBench bench{2, two_models(true)};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  for (const std::uint32_t stream : {first, second}) bench.want(10, 1u << 30, stream);
  bench.want(1, 1u << 30, judge);
  bench.answer(bench.take_offers());
  bench.write();
  REQUIRE(bench.joins.size() == 1); // of two items: there is room for one
  bench.take_joins(R"("answer.1":"x","answer.2":"y")");
  CHECK(bench.take_offer().planned.part_ids() == std::vector{part(0, judge)});
  bench.want(1, 1u << 30, judge);
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].item == 1);
}

TEST_CASE("room for the judge alone reads no item") {
  ModelsBench bench{10, two_models(true)};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(10, 1u << 30, judge);
  CHECK(bench.supervisor->counts().total == 0);
  bench.want(1, 1u << 30, second);
  CHECK(bench.take_offer().planned.model == "b");
  CHECK(bench.supervisor->counts().total == 1);
}

TEST_CASE("a cancelled job waits for no judge") {
  const bool asked = GENERATE(true, false);
  ModelsBench bench{1, two_models(true)};
  bench.begin();
  bench.answer(bench.take_offers());
  if (asked) bench.write();
  bench.hear(bench.supervisor->cancel(bench.now));
  bench.write();
  bench.take_joins(R"("answer.1":"x","answer.2":"y")"); // comes too late for the judge
  bench.write();
  CHECK(bench.take_offers().empty());
  if (bench.lines().empty()) { // its line is joined of three parts
    REQUIRE(bench.joins.size() == 1);
    CHECK(bench.joins[0].parts == 3);
  }
}

TEST_CASE("after a restart only what has not ended is asked again") {
  const int ended = GENERATE(0, 1, 2, 3);
  const std::string asked =
      std::array{"ab", "b", "judge's step", "line"}.at(static_cast<std::size_t>(ended));
  CAPTURE(asked);
  ModelsBench bench{1, two_models(true)};
  RecoveredItems recovered;
  for (const std::uint32_t model : {first, second, judge})
    if (static_cast<int>(model) < ended) recovered.parts.ended[0].answered[part(0, model).part] = 0;
  recovered.mark = 1;
  bench.start(std::move(recovered));
  CHECK(bench.joins.size() == (asked == "line"));
  bench.hear(bench.supervisor->grace_over(bench.now));
  for (const std::uint32_t stream : {first, second, judge}) bench.want(9, 1u << 30, stream);
  std::string models;
  for (const auto& [model, calls] : bench.by_model()) models += model;
  CHECK(models == (asked.size() < 3 ? asked : ""));
  if (asked.size() < 3) return;
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].step.has_value() == (asked == "judge's step"));
}

TEST_CASE("the judge's call that goes on over a restart is claimed, and not made twice") {
  ModelsBench bench{1, two_models(true)};
  RecoveredItems recovered;
  recovered.parts.ended[0].answered = {{part(0, first).part, 0}, {part(0, second).part, 0}};
  recovered.mark = 1;
  bench.start(std::move(recovered));
  const CallId call = CallId::of(Epoch{2}, JobId{7}, 9);
  const protocol::Claim claimed{
      call, AttemptId::of(Epoch{2}, 1, 9), {part(0, judge)}, EndpointId{1}};
  bench.hear(bench.supervisor->claimed({claimed}, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(9, 1u << 30, judge);
  CHECK(bench.joins.empty());
  CHECK(bench.take_offers().empty());
  OfferedCall known;
  known.planned.call = call;
  known.planned.parts = planned({part(0, judge)});
  bench.answer(known);
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK_FALSE(bench.joins[0].step);
}

} // namespace supervisor_models_test
