// What a supervisor counts of the errors that its calls meet.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace supervisor_errors_test {

using namespace gristmill;
using namespace gristmill::supervisor_test;
using namespace std::chrono_literals;

namespace {

const CountedError* of(const ErrorList& errors, OutcomeClass cls) {
  for (const CountedError& error : errors)
    if (error.cls == cls) return &error;
  return nullptr;
}

void fail(Bench& bench, const OfferedCall& call, OutcomeClass cls, std::string words) {
  ReportedOutcome reported = bench.outcome(call, cls);
  reported.outcome.http_status = 500;
  reported.outcome.code = "ill";
  reported.outcome.message = std::move(words);
  bench.report(std::move(reported));
}

} // namespace

TEST_CASE("every failed end of a call is counted, one that ended its item as final") {
  Bench bench{good_lines(2)};
  bench.spec.policy.retries = 1;
  bench.start_fresh();
  const auto calls = bench.take_offers();
  fail(bench, calls[0], OutcomeClass::transient, "first");
  CHECK(of(bench.supervisor->errors().list(), OutcomeClass::transient)->final == 0);
  CHECK(bench.supervisor->counts().retrying == 1);
  bench.tick_at(bench.now + 1min);
  fail(bench, bench.take_offer(), OutcomeClass::transient, "second");
  fail(bench, calls[1], OutcomeClass::bad_line, "wrong");
  const ErrorList errors = bench.supervisor->errors().list();
  REQUIRE(errors.size() == 2);
  const CountedError& transient = *of(errors, OutcomeClass::transient);
  CHECK(transient.count == 2);
  CHECK(transient.final == 1);
  CHECK(transient.sample == "second");
  CHECK(transient.item == "doc-0");
  CHECK(transient.source == "in-0.jsonl:1");
  CHECK(transient.http_status == 500);
  CHECK(of(errors, OutcomeClass::bad_line)->final == 1);
  // It is told again: the item has its line, and nothing is counted twice.
  fail(bench, calls[1], OutcomeClass::bad_line, "wrong");
  CHECK(of(bench.supervisor->errors().list(), OutcomeClass::bad_line)->count == 1);
}

TEST_CASE("an item that fails without a call is counted, too") {
  Bench bench{"{\"id\":\n" + good_line(1)};
  bench.start_fresh();
  const ErrorList errors = bench.supervisor->errors().list();
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].code == "invalid_line");
  CHECK(errors[0].final == 1);
  CHECK_FALSE(errors[0].sample.empty());
}

TEST_CASE("what came back unsent is not being retried") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  const auto call = bench.take_offer();
  bench.hear(bench.supervisor->pause(bench.now));
  bench.hear(bench.supervisor->returned({lost(call, false)}, bench.now));
  CHECK(bench.supervisor->counts().retrying == 0);
  CHECK(bench.supervisor->errors().empty());
}

TEST_CASE("a supervisor goes on with what an earlier life has counted") {
  Bench bench{good_lines(1)};
  supervisor::RecoveredItems recovered;
  recovered.errors = {{OutcomeClass::transient, "ill", 500, 7, 2, "before", "doc-9", "", 100}};
  bench.start(std::move(recovered));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(10);
  fail(bench, bench.take_offer(), OutcomeClass::transient, "after");
  const ErrorList errors = bench.supervisor->errors().list();
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].count == 8);
  CHECK(errors[0].final == 2);
  CHECK(errors[0].sample == "after");
}

} // namespace supervisor_errors_test
