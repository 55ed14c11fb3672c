// The model of each call: an item that cannot succeed at its first model is tried at another, once.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"
#include "tests/unit/nano_usd.hpp"

namespace supervisor_fallback_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;

namespace {

JobSpec with_fallback(std::uint32_t retries = 1) {
  JobSpec spec = spec_of();
  spec.policy.fallback_model = "large";
  spec.policy.retries = retries;
  return spec;
}

std::string batch_line(std::string_view model) {
  return fmt::format(R"({{"custom_id":"a","method":"POST","url":"/v1/chat/completions",)"
                     R"("body":{{"model":"{}","messages":[]}}}})",
                     model);
}

// The call that is offered after a pause, if any.
std::vector<OfferedCall> later(Bench& bench) {
  bench.tick_at(bench.now + 1min);
  return bench.take_offers();
}

} // namespace

TEST_CASE("which ends let an item fall back") {
  const auto [cls, falls] = GENERATE(table<OutcomeClass, bool>({
      {OutcomeClass::too_long, true},
      {OutcomeClass::policy, true},
      {OutcomeClass::bad_result, true},
      {OutcomeClass::transient, true},
      {OutcomeClass::bad_line, false},
      {OutcomeClass::too_big, false},
  }));
  CAPTURE(info(cls).name);
  Bench bench{good_lines(1), with_fallback(0)};
  bench.start_fresh();
  auto call = bench.take_offer();
  CHECK(call.planned.model == "m");
  bench.report(call, cls);
  const auto again = later(bench);
  REQUIRE(again.size() == (falls ? 1 : 0));
  if (falls) CHECK(again[0].planned.model == "large");
  CHECK(bench.lines().size() == (falls ? 0 : 1));
}

TEST_CASE("retries come first, begin anew at the fallback, and it is the last") {
  Bench bench{good_lines(1), with_fallback(1)};
  bench.start_fresh();
  auto call = bench.take_offer();
  std::vector<std::string> models;
  for (int attempt = 0; attempt < 4; ++attempt) {
    models.push_back(call.planned.model);
    bench.report(call, OutcomeClass::transient);
    const auto again = later(bench);
    if (again.empty()) break;
    call = again.at(0);
  }
  CHECK(models == std::vector<std::string>{"m", "m", "large", "large"});
  const auto line = bench.line_of(0);
  CHECK(line["gristmill"]["attempts"] == 4);
  CHECK_FALSE(line["error"].is_null());
}

TEST_CASE("without another model there is no fallback") {
  JobSpec spec = with_fallback(0);
  spec.policy.fallback_model = GENERATE("", "m"); // none, or the job's own
  Bench bench{good_lines(1), spec};
  bench.start_fresh();
  bench.report(bench.take_offer(), OutcomeClass::too_long);
  CHECK(bench.lines().size() == 1);
}

TEST_CASE("a cancelled job's items do not fall back") {
  Bench bench{good_lines(1), with_fallback(0)};
  bench.start_fresh();
  const auto call = bench.take_offer();
  bench.hear(bench.supervisor->cancel(bench.now));
  bench.report(call, OutcomeClass::too_long);
  CHECK(bench.lines().size() == 1);
}

TEST_CASE("a failure that is told twice lets an item fall back once") {
  Bench bench{good_lines(1), with_fallback(0)};
  bench.start_fresh();
  const auto call = bench.take_offer();
  const auto failure = bench.outcome(call, OutcomeClass::too_long);
  bench.report(failure);
  bench.report(failure);
  const auto again = later(bench);
  REQUIRE(again.size() == 1);
  CHECK(bench.lines().empty());
  CHECK(bench.last().note.late + bench.appends.front().note.late <= 1);
}

TEST_CASE("after a restart an item is still on its fallback, with its attempts") {
  Bench bench{good_lines(1), with_fallback(1)};
  bench.start_fresh();
  auto call = bench.take_offer();
  bench.report(call, OutcomeClass::transient);
  bench.report(later(bench).at(0), OutcomeClass::transient);
  REQUIRE(bench.last().attempts.size() == 1);
  const journal::AttemptNote note = bench.last().attempts[0];
  CHECK(note.on_fallback());
  CHECK(note.attempts == 0);
  CHECK(note.tries == 2);

  Bench next{good_lines(1), with_fallback(1)};
  RecoveredItems recovered;
  recovered.parts.notes = {note};
  recovered.mark = 1;
  next.start(recovered);
  next.want(10);
  next.hear(next.supervisor->grace_over(next.now));
  call = next.take_offer();
  CHECK(call.planned.model == "large");
  next.report(call, OutcomeClass::too_long);
  CHECK(next.line_of(0)["gristmill"]["attempts"] == 3);
}

TEST_CASE("a failure kept from an earlier life does not end an item that is on its fallback") {
  Bench bench{good_lines(1), with_fallback(0)};
  RecoveredItems recovered;
  recovered.parts.notes = {
      {{JobId{7}, 0, 0}, 0, 0, 1}}; // its first model failed, and that was durable
  recovered.mark = 1;
  bench.start(recovered);
  bench.want(10);
  const auto kept = claim(0, 99); // … and the worker has not heard that it was
  bench.hear(bench.supervisor->kept({kept}, bench.now));
  OfferedCall call;
  call.planned.call = kept.call;
  call.planned.parts = planned(kept.parts);
  bench.report(call, OutcomeClass::too_long);
  CHECK(bench.lines().empty());
  bench.hear(bench.supervisor->grace_over(bench.now));
  const auto again = later(bench);
  REQUIRE(again.size() == 1);
  CHECK(again[0].planned.model == "large");
  bench.report(again[0], OutcomeClass::too_long);
  CHECK(bench.lines().size() == 1);
}

TEST_CASE("the first model's failure, told late, does not end an item that is on its fallback") {
  Bench bench{good_lines(1), with_fallback(1)};
  bench.start_fresh();
  const auto first = bench.take_offer();
  bench.hear(bench.supervisor->lost({lost(first, true)}, bench.now));
  const auto second = later(bench).at(0);
  bench.report(second, OutcomeClass::too_long);
  CHECK(later(bench).at(0).planned.model == "large");
  protocol::Claim claimed = claim(0, 1);
  claimed.call = first.planned.call;
  bench.hear(bench.supervisor->claimed({claimed}, bench.now));
  bench.report(first, OutcomeClass::too_long);
  CHECK(bench.lines().empty());
  const auto again = later(bench);
  REQUIRE(again.size() == 1);
  CHECK(again[0].planned.model == "large");
  bench.report(again[0], OutcomeClass::too_long);
  CHECK(bench.lines().size() == 1);
}

TEST_CASE("an item whose call is claimed after a restart falls back too") {
  Bench bench{good_lines(1), with_fallback(0)};
  RecoveredItems recovered;
  recovered.mark = 1;
  bench.start(recovered);
  bench.want(10);
  const auto claimed = claim(0, 99);
  bench.hear(bench.supervisor->claimed({claimed}, bench.now));
  OfferedCall call;
  call.planned.call = claimed.call;
  call.planned.parts = planned(claimed.parts);
  bench.report(call, OutcomeClass::too_long);
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(later(bench).at(0).planned.model == "large");
}

TEST_CASE("a pool says what its items fall back to and how long an answer may be") {
  std::vector<PoolSpec> pools(2);
  pools[0] = {"m", "large", {}, 10, {}};
  pools[1] = {"large", "", {}, 1'000, {}};
  const ModelPlan plan{spec_of(), pools};
  CHECK(plan.plan({}, ItemKind::text, "x", false).has_fallback);
  CHECK(plan.plan({}, ItemKind::text, "x", false).max_output_tokens == 10);
  CHECK(plan.plan({}, ItemKind::text, "x", true).model == "large");
  CHECK(plan.plan({}, ItemKind::text, "x", true).max_output_tokens == 1'000);
  JobSpec own = spec_of();
  own.endpoints.resize(1);
  CHECK_FALSE(ModelPlan{own, pools}.plan({}, ItemKind::text, "x", false).has_fallback);
  CHECK(ModelPlan{own, pools}.plan({}, ItemKind::text, "x", false).max_output_tokens == 10);
}

TEST_CASE(
    "whose answers are limited: those that a pool limits, that are free, or that have no price") {
  PoolSpec pool;
  pool.model = "m";
  const auto limits = [&pool](const JobSpec& spec) {
    return ModelPlan{spec, {pool}}.plan({}, ItemKind::text, "x", false).limits_answers;
  };
  CHECK(limits(spec_of()));
  pool.price = {1, 1};
  CHECK_FALSE(limits(spec_of()));
  JobSpec named_by_default = spec_of();
  named_by_default.policy.default_model =
      std::exchange(named_by_default.shape.models, ModelNames{}).first();
  CHECK_FALSE(limits(named_by_default));
  pool.max_output_tokens = 1;
  CHECK(limits(spec_of()));
  CHECK(limits(named_by_default));
  pool.max_output_tokens = 0;
  pool.price = {1, 0};
  CHECK(limits(spec_of()));
}

TEST_CASE("lines that name their models are planned for them") {
  JobSpec spec = spec_of();
  spec.shape.models.clear();
  std::vector<PoolSpec> pools(1);
  pools[0] = {"a", "b", {}, 0, {}};
  const ModelPlan plan{spec, pools};
  CHECK(plan.plan({}, ItemKind::batch_line, batch_line("a"), false).model == "a");
  CHECK(plan.plan({}, ItemKind::batch_line, batch_line("a"), true).model == "b");
  CHECK(plan.plan({}, ItemKind::batch_line, batch_line("c"), false).model == "c");
  CHECK_FALSE(plan.plan({}, ItemKind::batch_line, batch_line("c"), false).has_fallback);
  CHECK(plan.plan({}, ItemKind::text, "text", false).model.empty());
  CHECK(plan.plan({}, ItemKind::batch_line, R"({"body":{"model":7}})", false).model.empty());
  // A fallback that the configuration has lost: the first model is all that is left.
  CHECK(plan.plan({}, ItemKind::batch_line, batch_line("c"), true).model == "c");
}

TEST_CASE("the cost of every attempt is counted, of failed ones too") {
  Bench bench{good_lines(1), with_fallback(1)};
  bench.start_fresh();
  auto failed = bench.outcome(bench.take_offer(), OutcomeClass::transient);
  failed.cost = nano_usd(40);
  bench.report(failed);
  auto answered = bench.outcome(later(bench).at(0));
  answered.cost = nano_usd(2);
  bench.report(answered);
  CHECK(bench.appends.front().note.cost == nano_usd(40));
  CHECK(bench.last().note.cost == nano_usd(2));
  CHECK(bench.supervisor->counts().cost == nano_usd(42));
}

TEST_CASE("a call that exceeds every limit falls back, or becomes an error line at once") {
  const bool has_fallback = GENERATE(true, false);
  Bench bench{good_lines(1), has_fallback ? with_fallback() : spec_of()};
  bench.start_fresh();
  const auto exceeds = [&] {
    LostCall call = lost(bench.take_offer(), false);
    call.exceeds = "expected a call within 1000 tokens per minute";
    bench.hear(bench.supervisor->returned({call}, bench.now));
  };
  exceeds();
  if (has_fallback) {
    CHECK(bench.lines().empty());
    bench.tick_at(bench.now + 1s);
    exceeds();
  }
  const auto line = bench.line_of(0);
  CHECK(line["error"]["code"] == "exceeds_limit");
  CHECK(line["error"]["message"] == "expected a call within 1000 tokens per minute");
  CHECK(line["gristmill"]["class"] == "too_long");
  CHECK(line["gristmill"]["attempts"] == 0);
  CHECK(bench.take_offers().empty());
}

TEST_CASE("the model found at the job's endpoints is that of items that name none") {
  const char* line =
      GENERATE(R"({"body":{}})", R"({"body":{"model":null}})", R"({"body":{"model":""}})");
  CAPTURE(line);
  JobSpec spec = spec_of();
  spec.shape.models.clear();
  spec.policy.fallback_model.clear();
  spec.policy.default_model = "found";
  spec.endpoints = {{"http://a/v1", "", "", {}}};
  const ModelPlan plan{spec, {}};
  CHECK(plan.plan({}, ItemKind::batch_line, line, false).model == "found");
  CHECK(plan.plan({}, ItemKind::text, line, false).model == "found");
  CHECK(plan.plan({}, ItemKind::batch_line, batch_line("a"), false).model == "a");
  CHECK(plan.plan({}, ItemKind::batch_line, R"({"body":{"model":7}})", false).model.empty());
}

} // namespace supervisor_fallback_test
