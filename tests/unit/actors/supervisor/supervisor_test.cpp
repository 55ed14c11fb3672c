// One job from its first item to its last: offers, outcomes, retries, and the end.
#include "protocol/limits.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <set>

namespace supervisor_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;

TEST_CASE("items are offered while there is room, in their order") {
  Bench bench{good_lines(5)};
  bench.start_fresh(2);
  auto offers = bench.take_offers();
  REQUIRE(offers.size() == 2);
  std::set<CallId> calls;
  for (std::uint64_t item = 0; item < 2; ++item) {
    const auto& planned = offers[item].planned;
    CHECK(planned.part_ids() == std::vector<PartId>{{JobId{7}, item, 0}});
    CHECK(planned.parts[0].raw + "\n" == good_line(item));
    CHECK(offers[item].token_bound > 0);
    calls.insert(planned.call);
  }
  bench.want(10);
  for (const auto& offer : bench.take_offers()) calls.insert(offer.planned.call);
  CHECK(calls.size() == 5);
  CHECK(bench.supervisor->counts().total == 5);
  CHECK(bench.supervisor->counts().total_known);
}

TEST_CASE("an item of which the template makes too much fails without being offered") {
  JobSpec spec = spec_of();
  for (int i = 0; i < 1'000; ++i) spec.shape.prompt += "{{text}}";
  Bench bench{fmt::format("{{\"id\":\"long\",\"text\":\"{}\"}}\n{}", std::string(20'000, 'x'),
                          good_line(1)),
              spec};
  bench.start_fresh();
  CHECK(bench.take_offer().planned.parts[0].id.item == 1);
  const auto line = bench.line_of(0);
  CHECK(line["error"]["code"] == "exceeds_limit");
  CHECK(line["gristmill"]["class"] == "too_long");
  CHECK_THAT(line["error"]["message"].get<std::string>(),
             Catch::Contains("at most 16777216 bytes") && Catch::Contains("got 20000006"));
}

TEST_CASE("bytes bound the offers as calls do, but one call goes with any room") {
  Bench bench{good_lines(5)};
  bench.start();
  bench.want(5, 1);
  const std::size_t bytes = bench.take_offer().bytes();
  bench.want(0, bytes - 1);
  CHECK(bench.take_offers().empty()); // the first one's debt is paid
  bench.want(0, bytes + 1);
  CHECK(bench.take_offers().size() == 2);
}

TEST_CASE("an answered item gets its one line, and the answer is acknowledged behind it") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  const auto call = bench.take_offer();
  auto reported = bench.outcome(call);
  reported.outcome.usage.known = true;
  reported.outcome.usage.prompt = 10;
  reported.outcome.usage.completion = 4;
  bench.report(reported);
  REQUIRE(bench.appends.size() == 1);
  const Append& append = bench.last();
  REQUIRE(append.acks.size() == 1);
  CHECK(append.acks[0].session == SessionId{5});
  CHECK(append.acks[0].attempt == reported.outcome.attempt);
  CHECK(append.note.job == JobId{7});
  CHECK(append.note.prompt_tokens == 10);
  const auto line = bench.line_of(0);
  CHECK(line["custom_id"] == "doc-0");
  CHECK(line["gristmill"]["source"] == "in-0.jsonl:1");
  CHECK(line["gristmill"]["attempts"] == 1);
  CHECK(line["gristmill"]["endpoint"] == "http://a");
}

TEST_CASE("the job is over when all lines are durable, not before, and says so once") {
  Bench bench{good_lines(2)};
  bench.start_fresh();
  for (const auto& call : bench.take_offers()) bench.report(call, OutcomeClass::ok);
  CHECK_FALSE(bench.all_terminal);
  CHECK(bench.supervisor->counts().completed == 0);
  bench.hear(bench.supervisor->durable({1, 0, 0, {}}, bench.now));
  CHECK_FALSE(bench.all_terminal);
  bench.hear(bench.supervisor->durable({1, 0, 0, {}}, bench.now));
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().completed == 2);
  bench.tick_at(bench.now + 1h);
}

TEST_CASE("a job without items is over as soon as somebody has room") {
  Bench bench{GENERATE("", "\n\n")};
  bench.start_fresh();
  CHECK(bench.all_terminal);
  CHECK(bench.appends.empty());
}

TEST_CASE("the first terminal outcome of an item wins, later ones are counted and acknowledged") {
  const auto first = GENERATE(OutcomeClass::ok, OutcomeClass::bad_line);
  const auto second = GENERATE(OutcomeClass::ok, OutcomeClass::bad_line, OutcomeClass::transient);
  CAPTURE(first, second);
  Bench bench{good_lines(1)};
  bench.start_fresh();
  const auto call = bench.take_offer();
  bench.report(call, first);
  bench.report(call, second);
  CHECK(bench.lines().size() == 1);
  CHECK(bench.lines()[0].failed() == (first != OutcomeClass::ok));
  CHECK(bench.last().acks.size() == 1);
  CHECK(bench.supervisor->counts().late == 1);
  CHECK(bench.supervisor->counts().attempts == 1);
}

TEST_CASE("an error of the request makes an error line at once") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  bench.report(bench.take_offer(), OutcomeClass::bad_line);
  REQUIRE(bench.lines().size() == 1);
  CHECK(bench.lines()[0].failed());
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().failed == 1);
}

TEST_CASE("a call is tried again when its time has come, with the same item and a new name") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  const auto first = bench.take_offer();
  bench.report(first, OutcomeClass::transient, 10'000);
  CHECK(bench.offered.empty());
  CHECK(bench.supervisor->counts().retrying == 1);
  CHECK(bench.supervisor->wake_at() == bench.now + 10s);
  REQUIRE(bench.last().attempts.size() == 1);
  CHECK(bench.last().attempts[0].attempts == 1);
  const Time due = bench.now + 10s;
  bench.tick_at(due - 1ns);
  CHECK(bench.offered.empty());
  bench.tick_at(due);
  const auto second = bench.take_offer();
  CHECK(second.planned.parts == first.planned.parts);
  CHECK(second.planned.call != first.planned.call);
  CHECK(bench.supervisor->counts().retrying == 0);
}

TEST_CASE("nobody is woken for a retry that no worker has room for") {
  Bench bench{good_lines(1)};
  bench.start_fresh(1);
  bench.report(bench.take_offer(), OutcomeClass::transient);
  CHECK(bench.supervisor->wake_at() == never);
  bench.tick_at(bench.now + 1h);
  CHECK(bench.offered.empty());
  bench.want(1);
  CHECK(bench.offered.size() == 1);
}

TEST_CASE("when its retries are used up an item gets its last error as its line") {
  Bench bench{good_lines(1)};
  bench.spec.policy.retries = GENERATE(0u, 1u, 3u);
  bench.start_fresh();
  for (std::uint32_t attempt = 0; attempt <= bench.spec.policy.retries; ++attempt) {
    CHECK(bench.lines().empty());
    auto reported = bench.outcome(bench.take_offer(), OutcomeClass::transient);
    reported.outcome.code = "oops";
    reported.outcome.message = fmt::format("attempt {}", attempt);
    bench.report(reported);
    bench.tick_at(bench.now + 1min);
  }
  const auto line = bench.line_of(0);
  CHECK(line["error"]["code"] == "oops");
  CHECK(line["error"]["message"] == fmt::format("attempt {}", bench.spec.policy.retries));
  CHECK(line["gristmill"]["attempts"] == bench.spec.policy.retries + 1);
  CHECK(bench.offered.empty());
}

TEST_CASE("refusals by rate and calls that were never sent use up no retry") {
  Bench bench{good_lines(1)};
  bench.spec.policy.retries = 0;
  bench.start_fresh();
  for (int i = 0; i < 50; ++i) {
    bench.report(bench.take_offer(), i % 2 == 0 ? OutcomeClass::rate : OutcomeClass::unstarted);
    CHECK(bench.last().attempts.empty());
    bench.tick_at(bench.now + 1min);
  }
  bench.report(bench.take_offer(), OutcomeClass::ok);
  CHECK_FALSE(bench.lines().at(0).failed());
}

TEST_CASE("an outcome that was handled and is told again does nothing") {
  Bench bench{good_lines(1)};
  bench.spec.policy.retries = 1;
  bench.start_fresh();
  const auto reported = bench.outcome(bench.take_offer(), OutcomeClass::transient);
  bench.report(reported);
  const Time due = bench.supervisor->wake_at();
  for (int i = 0; i < 5; ++i) bench.report(reported);
  CHECK(bench.last().acks.size() == 1);
  CHECK(bench.supervisor->wake_at() == due);
  bench.tick_at(due);
  const auto second = bench.take_offer();
  bench.report(reported);
  CHECK(bench.lines().empty());
  CHECK(bench.supervisor->counts().attempts == 1);
  bench.report(second, OutcomeClass::ok);
  CHECK_FALSE(bench.lines().at(0).failed());
}

TEST_CASE("an answer to an older attempt wins while a later one waits or is out") {
  const bool later_is_out = GENERATE(false, true);
  CAPTURE(later_is_out);
  Bench bench{good_lines(1)};
  bench.start_fresh();
  const auto first = bench.take_offer();
  bench.hear(bench.supervisor->lost({lost(first, true)}, bench.now));
  const auto second = bench.take_offer();
  if (!later_is_out) bench.report(second, OutcomeClass::transient);
  bench.report(first, OutcomeClass::ok);
  CHECK(bench.lines().size() == 1);
  CHECK(bench.take_withdrawn() ==
        (later_is_out ? std::vector<CallId>{second.planned.call} : std::vector<CallId>{}));
  bench.tick_at(bench.now + 1h);
  CHECK(bench.offered.empty());
  CHECK(bench.supervisor->counts().retrying == 0);
}

TEST_CASE("an item that was never offered is promised to nobody") {
  Bench bench{good_lines(1)};
  bench.start_fresh(1);
  auto reported = bench.outcome(bench.take_offer());
  reported.outcome.parts.front().item = 5;
  bench.report(reported);
  CHECK(bench.appends.empty());
}

TEST_CASE("a call that was withdrawn decides nothing; with no other call its item goes again") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  const auto first = bench.take_offer();
  bench.hear(bench.supervisor->lost({lost(first, true)}, bench.now));
  const auto second = bench.take_offer();
  bench.report(first, OutcomeClass::cancelled);
  CHECK(bench.offered.empty());
  bench.report(second, OutcomeClass::cancelled);
  CHECK(bench.offered.size() == 1);
  CHECK(bench.lines().empty());
  CHECK(bench.supervisor->counts().late == 0);
}

TEST_CASE("a bad line becomes an error line without any call") {
  Bench bench{good_line(0) + "not json\n" + good_line(2)};
  bench.start_fresh();
  CHECK(bench.take_offers().size() == 2);
  const auto line = bench.line_of(1);
  CHECK(line["custom_id"] == "in-0.jsonl:2");
  CHECK(line["error"]["code"] == "invalid_line");
  CHECK(line["gristmill"]["attempts"] == 0);
  CHECK(bench.lines().at(0).failed());
}

TEST_CASE("an item whose input has changed when it is read again gets an error line") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  bench.report(bench.take_offer(), OutcomeClass::transient);
  bench.source.inputs[0].resize(3);
  bench.tick_at(bench.now + 1min);
  CHECK(bench.line_of(0)["error"]["code"] == "input_changed");
}

TEST_CASE("an input that cannot be read fails the job with a sentence") {
  Bench bench{good_lines(1)};
  bench.source.broken = true;
  bench.start_fresh();
  CHECK(bench.failure == "read in.jsonl: the disk is gone");
  CHECK(bench.supervisor->wake_at() == never);
  CHECK_FALSE(bench.all_terminal);
}

TEST_CASE("reading goes on in slices, so that a long input keeps nobody waiting") {
  std::string bad;
  for (int i = 0; i < 3'000; ++i) bad += "bad\n";
  JobSpec spec = spec_of();
  spec.policy.max_failure_percent = 0;
  Bench bench{bad, spec};
  bench.start_fresh();
  CHECK(bench.lines().size() == 1'024);
  for (int ticks = 0; bench.supervisor->wake_at() == Time::min(); ++ticks) {
    REQUIRE(ticks < 5);
    bench.tick_at(bench.now);
  }
  CHECK(bench.lines().size() == 3'000);
  bench.write();
  CHECK(bench.all_terminal);
}

TEST_CASE("reading waits for the disk when it writes lines by itself") {
  std::string bad;
  for (int i = 0; i < 10'000; ++i) bad += "bad\n";
  JobSpec spec = spec_of();
  spec.policy.max_failure_percent = 0;
  Bench bench{bad, spec};
  bench.start_fresh();
  while (bench.supervisor->wake_at() == Time::min()) bench.tick_at(bench.now);
  CHECK(bench.lines().size() == 8'192);
  while (!bench.all_terminal) {
    bench.write();
    bench.tick_at(bench.now);
  }
  CHECK(bench.lines().size() == 10'000);
}

} // namespace supervisor_test
