// A supervisor whose job is paused, by its user or by what its items meet, and goes on later.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace supervisor_pause_test {

using namespace gristmill;
using namespace gristmill::supervisor_test;
using Catch::Contains;

namespace {

ReportedOutcome refusal(Bench& bench, const OfferedCall& call, std::uint16_t status) {
  auto reported = bench.outcome(call, OutcomeClass::config);
  reported.outcome.http_status = status;
  reported.alternatives = 1;
  reported.outcome.code = "invalid_api_key";
  reported.outcome.message = "Incorrect API key provided";
  return reported;
}

JobSpec with_endpoint() {
  JobSpec spec = spec_of();
  spec.endpoints.resize(1);
  return spec;
}

} // namespace

TEST_CASE("a paused job offers nothing, and all of it once it is resumed") {
  Bench bench{good_lines(5)};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.hear(bench.supervisor->pause(bench.now));
  bench.want(100);
  CHECK(bench.take_offers().empty());
  CHECK(bench.supervisor->wake_at() == never);
  bench.hear(bench.supervisor->resume(bench.now));
  CHECK(bench.take_offers().size() == 5);
}

TEST_CASE("outcomes that come while a job is paused count, and what is to be tried again waits") {
  Bench bench{good_lines(2)};
  bench.start_fresh();
  const auto offers = bench.take_offers();
  bench.hear(bench.supervisor->pause(bench.now));
  bench.report(offers[0], OutcomeClass::ok);
  bench.report(offers[1], OutcomeClass::transient);
  bench.write();
  CHECK(bench.supervisor->counts().completed == 1);
  bench.tick_at(bench.now + 1h);
  CHECK(bench.take_offers().empty());
  bench.hear(bench.supervisor->resume(bench.now));
  CHECK(bench.take_offer().planned.parts[0].id.item == 1);
}

TEST_CASE("a paused job can be cancelled") {
  Bench bench{good_lines(3)};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.hear(bench.supervisor->pause(bench.now));
  bench.hear(bench.supervisor->cancel(bench.now));
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().failed == 3);
}

TEST_CASE("too many failures pause the job and name the cause") {
  JobSpec spec = spec_of();
  spec.policy.max_failures = 2;
  Bench bench{good_lines(10), spec};
  bench.start_fresh(3);
  const auto offers = bench.take_offers();
  bench.report(offers[0], OutcomeClass::bad_line);
  CHECK(bench.failure.empty());
  bench.report(offers[1], OutcomeClass::bad_line);
  CHECK_THAT(bench.failure, Contains("2 of 2 items failed") && Contains("in-0.jsonl:1"));
  bench.want(100);
  CHECK(bench.take_offers().empty());
}

TEST_CASE("failures of a job's last items do not pause it") {
  JobSpec spec = spec_of();
  spec.policy.max_failures = 2;
  Bench bench{good_lines(2), spec};
  bench.start_fresh();
  for (const auto& call : bench.take_offers()) bench.report(call, OutcomeClass::bad_line);
  bench.write();
  CHECK(bench.failure.empty());
  CHECK(bench.all_terminal);
}

TEST_CASE("a wrong key costs no item: the job pauses and the item is tried again") {
  Bench bench{good_lines(3), with_endpoint()};
  bench.start_fresh(3);
  const auto offers = bench.take_offers();
  bench.report(refusal(bench, offers[0], 401));
  bench.now += 20s - 1ns;
  bench.report(refusal(bench, offers[1], 401));
  CHECK(bench.failure.empty()); // keys rotate
  bench.now += 1ns;
  bench.report(refusal(bench, offers[2], 401));
  CHECK_THAT(bench.failure, Contains("http://a refuses the job's calls") &&
                                Contains("HTTP 401 invalid_api_key: Incorrect API key provided"));
  CHECK(bench.lines().empty());
  bench.tick_at(bench.now + 1h);
  CHECK(bench.take_offers().empty());
  bench.hear(bench.supervisor->resume(bench.now));
  bench.want(3);
  CHECK(bench.take_offers().size() == 3);
}

TEST_CASE(
    "a model that an endpoint never served, while it serves another, is the item's own fault") {
  std::string lines;
  for (const char* model : {"a", "b", "a"})
    lines += fmt::format(R"({{"custom_id":"{0}{1}","method":"POST","url":"/v1/chat/completions",)"
                         R"("body":{{"model":"{0}","messages":[]}}}})"
                         "\n",
                         model, lines.size());
  JobSpec spec = with_endpoint();
  spec.shape.models.clear();
  spec.shape.prompt.clear();
  Bench bench{lines, spec};
  bench.start_fresh();
  const auto offers = bench.take_offers();
  bench.report(offers[0], OutcomeClass::ok);
  bench.report(refusal(bench, offers[1], 404));
  bench.report(refusal(bench, offers[2], 401)); // never the item's fault
  CHECK(bench.failure.empty());
  REQUIRE(bench.lines().size() == 2);
  CHECK(bench.lines()[1].item == 1);
  CHECK(bench.lines()[1].cls == OutcomeClass::config);
}

TEST_CASE("a bad line fails the whole job if it is strict, before anything is offered") {
  JobSpec spec = spec_of();
  spec.policy.strict = true;
  // Beyond what one step reads, or in it.
  const std::uint64_t before = GENERATE(0, 1, 1'023, 1'024, 5'000);
  Bench bench{good_lines(before) + "nonsense\n" + good_line(9'999), spec};
  bench.start_fresh();
  while (bench.supervisor->wake_at() == Time::min()) bench.tick_at(bench.now);
  CHECK(bench.take_offers().empty());
  CHECK_THAT(bench.failure,
             Contains(fmt::format("in-0.jsonl:{}: ", before + 1)) && Contains("--strict"));
  bench.want(100);
  CHECK(bench.take_offers().empty());
  CHECK(bench.lines().empty());
}

TEST_CASE("calls of a reopened job have names that none of its earlier calls had") {
  Bench bench{good_lines(2)};
  bench.start_fresh();
  const auto first = bench.take_offers();
  supervisor::RecoveredItems items;
  items.next_call = bench.supervisor->next_call();
  bench.start(std::move(items));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(10);
  for (const auto& again : bench.take_offers())
    for (const auto& call : first) CHECK(again.planned.call != call.planned.call);
}

TEST_CASE("a strict job whose input is good begins when all of it was read") {
  JobSpec spec = spec_of();
  spec.policy.strict = true;
  spec.limits.items = GENERATE(0, 3'000); // what lies behind a limit is not looked at
  Bench bench{good_lines(3'000) + (spec.limits.items > 0 ? "nonsense\n" : ""), spec};
  bench.start_fresh(10);
  CHECK(bench.take_offers().empty());
  std::size_t steps = 0;
  for (; bench.supervisor->wake_at() == Time::min(); ++steps) bench.tick_at(bench.now);
  CHECK(steps >= 1);
  CHECK(bench.failure.empty());
  CHECK(bench.take_offers().size() == 10);
}

TEST_CASE("a strict job that is paused or cancelled while its input is read does as it is told") {
  JobSpec spec = spec_of();
  spec.policy.strict = true;
  Bench bench{good_lines(5'000) + "nonsense\n", spec};
  bench.start_fresh(10);
  bench.hear(bench.supervisor->pause(bench.now));
  CHECK(bench.supervisor->wake_at() == never);
  SECTION("resumed, it finds the bad line") {
    bench.hear(bench.supervisor->resume(bench.now));
    while (bench.supervisor->wake_at() == Time::min()) bench.tick_at(bench.now);
    CHECK_THAT(bench.failure, Contains("in-0.jsonl:5001: "));
  }
  SECTION("cancelled, each item gets its line") {
    bench.hear(bench.supervisor->cancel(bench.now));
    for (int n = 0; n < 20 && !bench.all_terminal; ++n) {
      bench.write();
      bench.tick_at(bench.now);
    }
    CHECK(bench.failure.empty());
    CHECK(bench.lines().size() == 5'001);
  }
  CHECK(bench.take_offers().empty());
}

TEST_CASE("a strict job that has called something is not proved again after a restart") {
  JobSpec spec = spec_of();
  spec.policy.strict = true;
  Bench bench{good_lines(5'000), spec};
  supervisor::RecoveredItems recovered;
  recovered.mark = 1;
  bench.start(std::move(recovered));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(10);
  CHECK(bench.take_offers().size() == 10);
}

} // namespace supervisor_pause_test
