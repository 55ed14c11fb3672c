// A job that its user cancels: nothing new starts, and every item still gets its line.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <map>

namespace supervisor_cancel_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;

namespace {

void cancel(Bench& bench) {
  bench.hear(bench.supervisor->cancel(bench.now));
}

bool was_cancelled(const Bench& bench, std::uint64_t item) {
  const auto line = bench.line_of(item);
  return !line.is_null() && line["error"].is_object() && line["error"]["code"] == "cancelled";
}

} // namespace

TEST_CASE("items that nobody has are cancelled at once, calls that are out may still answer") {
  Bench bench{good_lines(4)};
  bench.start_fresh(2);
  const auto calls = bench.take_offers();
  bench.report(calls[0], OutcomeClass::transient); // waits for its next attempt
  cancel(bench);
  CHECK(was_cancelled(bench, 0));
  CHECK(bench.line_of(1).is_null());
  CHECK(was_cancelled(bench, 2));
  CHECK(was_cancelled(bench, 3));
  CHECK(bench.take_withdrawn().empty());
  bench.report(calls[1], OutcomeClass::ok);
  CHECK_FALSE(was_cancelled(bench, 1));
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().completed == 1);
  CHECK(bench.supervisor->counts().failed == 3);
  CHECK(bench.offered.empty());
}

TEST_CASE("a job that is being cancelled tries nothing again") {
  Bench bench{good_lines(3)};
  bench.start_fresh(3);
  const auto calls = bench.take_offers();
  cancel(bench);
  auto timeout = bench.outcome(calls[0], OutcomeClass::timeout);
  timeout.outcome.code = "timeout";
  bench.report(timeout);
  bench.hear(bench.supervisor->returned({lost(calls[1], false)}, bench.now));
  bench.hear(bench.supervisor->lost({lost(calls[2], true)}, bench.now));
  CHECK(bench.line_of(0)["error"]["code"] == "timeout");
  CHECK(was_cancelled(bench, 1));
  CHECK(was_cancelled(bench, 2));
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.offered.empty());
}

TEST_CASE("calls that are out too long after the cancelling are withdrawn and given up") {
  Bench bench{good_lines(2)};
  bench.start_fresh(2);
  const auto calls = bench.take_offers();
  cancel(bench);
  const Time deadline = bench.supervisor->wake_at();
  CHECK(deadline == bench.now + 10s);
  bench.tick_at(deadline - 1ns);
  CHECK(bench.lines().empty());
  bench.tick_at(deadline);
  CHECK(bench.take_withdrawn() ==
        std::vector<CallId>{calls[0].planned.call, calls[1].planned.call});
  CHECK(was_cancelled(bench, 0));
  CHECK(was_cancelled(bench, 1));
  CHECK(bench.supervisor->wake_at() == never);
  bench.report(calls[0], OutcomeClass::ok);
  bench.report(calls[1], OutcomeClass::cancelled);
  CHECK(bench.lines().size() == 2);
  CHECK(bench.supervisor->counts().late == 1); // the worker's word that it stopped is none
}

TEST_CASE("cancelling twice is cancelling once") {
  Bench bench{good_lines(1)};
  bench.start_fresh(1);
  cancel(bench);
  const Time deadline = bench.supervisor->wake_at();
  bench.now += 3s;
  cancel(bench);
  CHECK(bench.supervisor->wake_at() == deadline);
}

TEST_CASE("items that a worker might have been calling before a restart are cancelled, too") {
  Bench bench{good_lines(3)};
  RecoveredItems recovered;
  recovered.mark = 3;
  bench.start(recovered);
  bench.hear(bench.supervisor->claimed({claim(1, 900)}, bench.now));
  cancel(bench);
  CHECK(was_cancelled(bench, 0));
  CHECK(bench.line_of(1).is_null());
  CHECK(was_cancelled(bench, 2));
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.lines().size() == 2);
}

TEST_CASE("every item of a cancelled job gets its one line, without any room at the workers") {
  constexpr std::uint64_t items = 20'000;
  Bench bench{good_lines(items)};
  bench.start_fresh(5);
  const auto calls = bench.take_offers();
  cancel(bench);
  CHECK(bench.supervisor->wake_at() == Time::min());
  for (const auto& call : calls) bench.report(call, OutcomeClass::ok);
  for (int rounds = 0; !bench.all_terminal; ++rounds) {
    REQUIRE(rounds < 1'000);
    bench.write();
    bench.tick_at(bench.now);
  }
  std::map<std::uint64_t, int> lines;
  for (const auto& line : bench.lines()) ++lines[line.item];
  CHECK(lines.size() == items);
  CHECK(bench.lines().size() == items);
  CHECK(bench.supervisor->counts().completed == 5);
  CHECK(bench.offered.empty());
}

} // namespace supervisor_cancel_test
