// The task `classify` in the supervisor: an answer without a label is a bad result like any other.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace supervisor_labels_test {

using namespace gristmill;
using namespace gristmill::supervisor_test;

namespace {

JobSpec classify(std::uint32_t retries) {
  JobSpec spec = spec_of();
  spec.shape.task = Task::classify;
  spec.shape.labels = {"spam", "ham"};
  spec.policy.retries = retries;
  return spec;
}

ReportedOutcome said(Bench& bench, const OfferedCall& call, const std::string& content) {
  ReportedOutcome reported = bench.outcome(call);
  reported.outcome.body =
      fmt::format(R"({{"choices":[{{"message":{{"content":"{}"}}}}]}})", content);
  return reported;
}

} // namespace

TEST_CASE("a label stands in the line of its item") {
  Bench bench{good_lines(1), classify(5)};
  bench.start_fresh();
  bench.report(said(bench, bench.take_offer(), "Ham."));
  CHECK(bench.line_of(0)["gristmill"]["label"] == "ham");
  CHECK(bench.last().durable.completed == 1);
}

TEST_CASE("an answer without a label is tried again, and at last an error line that tells it") {
  Bench bench{good_lines(1), classify(1)};
  bench.start_fresh();
  bench.report(said(bench, bench.take_offer(), "eggs"));
  CHECK(bench.lines().empty());
  bench.tick_at(bench.supervisor->wake_at());
  bench.report(said(bench, bench.take_offer(), "more eggs"));
  const auto line = bench.line_of(0);
  CHECK(line["response"].is_null());
  CHECK(line["error"]["code"] == "no_label");
  CHECK(line["error"]["message"] == "expected one of the labels spam, ham, got \"more eggs\"");
  CHECK(line["gristmill"]["attempts"] == 2);
  CHECK(bench.last().durable.failed == 1);
}

TEST_CASE("an answer without a label that comes behind a later call decides nothing") {
  Bench bench{good_lines(1), classify(5)};
  bench.start_fresh();
  const auto first = bench.take_offer();
  bench.hear(bench.supervisor->lost({lost(first, true)}, bench.now));
  bench.tick_at(bench.now);
  const auto later = bench.take_offer();
  bench.report(said(bench, first, "eggs"));
  CHECK(bench.last().note.late == 1);
  CHECK(bench.lines().empty());
  bench.report(said(bench, later, "spam"));
  CHECK(bench.line_of(0)["gristmill"]["label"] == "spam");
}

} // namespace supervisor_labels_test
