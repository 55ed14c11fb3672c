// What SUPERVISOR makes of money and of endpoints without credit.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"
#include "tests/unit/nano_usd.hpp"

namespace supervisor_money_test {

using namespace gristmill;
using namespace gristmill::supervisor_test;
using Catch::Contains;

namespace {

ReportedOutcome paid(Bench& bench, const OfferedCall& call, OutcomeClass cls = OutcomeClass::ok) {
  auto reported = bench.outcome(call, cls);
  reported.cost = nano_usd(100);
  reported.alternatives = 1;
  return reported;
}

} // namespace

TEST_CASE("an answer that comes too late was paid for, too", "[money]") {
  Bench bench{good_lines(2)};
  bench.start_fresh();
  const auto offers = bench.take_offers();
  bench.report(paid(bench, offers[0]));
  bench.report(paid(bench, offers[0]));
  CHECK(bench.last().note.late == 1);
  CHECK(bench.last().note.cost == nano_usd(100));
  CHECK(bench.supervisor->counts().cost == nano_usd(200));
  bench.hear(bench.supervisor->charged(nano_usd(30)));
  CHECK(bench.supervisor->counts().cost == nano_usd(230));
}

TEST_CASE("a call knows which part of its tokens its answer may have", "[money]") {
  JobSpec spec = spec_of();
  spec.shape.params = R"({"max_tokens":17})";
  Bench bench{good_lines(1), spec};
  bench.start_fresh();
  const auto call = bench.take_offer();
  CHECK(call.output_bound == 17);
  CHECK(call.token_bound > 17);
}

TEST_CASE("the last endpoint without credit pauses the job, and no item pays for it", "[quota]") {
  Bench bench{good_lines(2)};
  bench.start_fresh();
  const auto offers = bench.take_offers();
  auto refused = paid(bench, offers[0], OutcomeClass::quota);
  refused.outcome.http_status = 429;
  refused.outcome.code = "insufficient_quota";
  refused.outcome.message = "You exceeded your current quota";
  bench.report(refused);
  CHECK_THAT(bench.failure, Contains("http://a") && Contains("insufficient_quota") &&
                                Contains("You exceeded your current quota"));
  bench.tick_at(bench.now + 1h);
  CHECK(bench.take_offers().empty());
  bench.hear(bench.supervisor->resume(bench.now));
  bench.tick_at(bench.now + 1h);
  CHECK(bench.take_offer().planned.parts[0].id.item == 0);
  CHECK(bench.supervisor->counts().failed == 0);
}

} // namespace supervisor_money_test
