// What a supervisor says of its items, and why it offers no call.
#include "protocol/limits.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace supervisor_explain_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;

namespace {

ItemStanding of_id(Bench& bench, std::string id) {
  return bench.supervisor->standing({std::move(id), 0}, bench.now);
}
ItemStanding of_number(Bench& bench, std::uint64_t item) {
  return bench.supervisor->standing({"", item}, bench.now);
}

} // namespace

TEST_CASE("an item is found by its id or its number wherever it stands") {
  Bench bench{good_lines(6)};
  bench.start_fresh(3);
  const auto offers = bench.take_offers();
  REQUIRE(offers.size() == 3);
  bench.report(offers[0], OutcomeClass::ok);
  bench.report(offers[1], OutcomeClass::transient);

  CHECK(of_id(bench, "doc-0").reason.kind == WaitKind::recorded);
  CHECK(of_number(bench, 0).reason.kind == WaitKind::recorded);
  const auto again = of_id(bench, "doc-1");
  CHECK(again.reason.kind == WaitKind::retry);
  CHECK(again.item == 1);
  CHECK(again.tries == 1);
  CHECK(again.reason.until > bench.now);
  const auto out = of_number(bench, 2);
  CHECK(out.id == "doc-2");
  CHECK(out.call == offers[2].planned.call);
  CHECK_FALSE(out.reason); // COORDINATOR knows
  CHECK(of_id(bench, "doc-3").reason.kind == WaitKind::not_read);
  CHECK(of_number(bench, 3).reason.kind == WaitKind::not_read);
  CHECK(of_id(bench, "nobody").reason.kind == WaitKind::not_read); // as far as anybody knows

  bench.now = again.reason.until;
  CHECK(of_id(bench, "doc-1").reason.kind == WaitKind::queued); // due, and no room
  bench.want(100);
  CHECK(of_number(bench, 5).call);
  CHECK(of_id(bench, "doc-0").reason.kind == WaitKind::not_open); // its ids are forgotten
  CHECK(of_number(bench, 0).reason.kind == WaitKind::recorded);
  CHECK_FALSE(of_number(bench, 6).reason); // there is none
}

TEST_CASE("after a restart an item may be with a worker who has not said so") {
  Bench bench{good_lines(4)};
  RecoveredItems recovered;
  recovered.mark = 2;
  bench.start(std::move(recovered));
  bench.want(100);
  CHECK(of_id(bench, "doc-0").reason.kind == WaitKind::claims);
  CHECK(of_number(bench, 3).call);
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(of_id(bench, "doc-0").call);
}

TEST_CASE("a supervisor whose open items all wait for another attempt says until when") {
  Bench bench{good_lines(2)};
  bench.start_fresh();
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now)); // they are out
  const auto offers = bench.take_offers();
  bench.report(offers[0], OutcomeClass::transient);
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
  bench.report(offers[1], OutcomeClass::transient);
  const WaitReason why = bench.supervisor->why_waiting(bench.now);
  CHECK(why.kind == WaitKind::retry);
  CHECK(why.limit == 2);
  CHECK(why.until == bench.supervisor->wake_at());
  bench.tick_at(why.until - 1ns);
  CHECK(bench.supervisor->why_waiting(bench.now).kind == WaitKind::retry);
  bench.tick_at(why.until);
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now)); // one of them goes
}

TEST_CASE("a strict job's reading is a reason, and none when it is paused") {
  JobSpec spec = spec_of();
  spec.policy.strict = true;
  Bench bench{good_lines(3'000), spec};
  bench.start();
  CHECK(bench.supervisor->why_waiting(bench.now).kind == WaitKind::reading);
  bench.hear(bench.supervisor->pause(bench.now));
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
  bench.hear(bench.supervisor->resume(bench.now));
  for (int n = 0; n < 10; ++n) bench.tick_at(bench.now);
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
}

TEST_CASE("lines that wait for the disk are a reason at their bound") {
  std::string bad;
  for (std::uint64_t n = 0; n < undurable_lines_max + 10; ++n) bad += "{\n";
  JobSpec spec = spec_of();
  spec.policy.max_failure_percent = 0;
  Bench bench{bad, spec};
  bench.start_fresh();
  for (int n = 0; n < 20; ++n) bench.tick_at(bench.now);
  CHECK(bench.supervisor->why_waiting(bench.now).kind == WaitKind::journal);
  bench.write();
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
}

TEST_CASE("as many open items as are kept are a reason to read no more") {
  Bench bench{good_lines(limits::live_parts_max + 1)};
  bench.start_fresh(limits::live_parts_max - 1);
  while (bench.offered.size() < limits::live_parts_max - 1) bench.tick_at(bench.now);
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
  bench.want(10);
  CHECK(bench.supervisor->why_waiting(bench.now).kind == WaitKind::open_items);
  CHECK(bench.supervisor->why_waiting(bench.now).limit == limits::live_parts_max);
  for (const std::size_t n : {0, 1}) bench.report(bench.offered[n], OutcomeClass::ok);
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now)); // all is read
}

} // namespace supervisor_explain_test
