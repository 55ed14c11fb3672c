// Items that ask the same when the one that is called fails, and when their job is cancelled or
// paused.
#include "tests/unit/actors/supervisor/dedupe/dedupe_bench.hpp"

#include <set>

namespace supervisor_dedupe_failures_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;
using Catch::Contains;

// ---- leaders that fail --------------------------------------------------------------------------

TEST_CASE("a leader that fails by its own fault has failed for all that ask the same") {
  DedupeBench bench{asking("aaab")};
  bench.begin();
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  bench.refuse(calls[0]);
  REQUIRE(bench.lines().size() == 3);
  for (const std::uint64_t item : {0, 1, 2}) {
    CAPTURE(item);
    const auto line = bench.line_of(item);
    CHECK(line["gristmill"]["class"] == "bad_line");
    CHECK(line["gristmill"]["code"] == "wrong");
    CHECK(line["gristmill"]["message"] == "it is wrong");
    CHECK(line["gristmill"]["cached"] == (item > 0));
    CHECK(line["gristmill"]["attempts"] == (item > 0 ? 0 : 1));
    CHECK(line["gristmill"]["source"] == fmt::format("in-0.jsonl:{}", item + 1));
  }
  CHECK(bench.keys() == 0);
  CHECK(bench.offered.empty());
  const ErrorList errors = bench.supervisor->errors().list();
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].count == 3);
  CHECK(errors[0].final == 3);
  bench.answer(calls[1]);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().failed == 3);
  CHECK(bench.supervisor->counts().cached == 2);
  CHECK(bench.supervisor->counts().calls == 2);
}

TEST_CASE("a leader is called again for what passes, without another look-up, while others wait") {
  using enum OutcomeClass;
  const auto cls = GENERATE(transient, rate, unreachable, unavailable, unstarted);
  CAPTURE(info(cls).name);
  DedupeBench bench{asking("aaa")};
  bench.spec.policy.patience_s = 1'000'000;
  bench.begin();
  OfferedCall call = bench.take_offer();
  for (int n = 0; n < 2; ++n) {
    bench.report(call, cls, 1'000);
    bench.tick_at(bench.now + 10min);
    const OfferedCall again = bench.take_offer();
    CHECK(item_of(again) == 0);
    CHECK(again.planned.call != call.planned.call);
    call = again;
    CHECK(bench.follows(1));
    CHECK(bench.follows(2));
  }
  CHECK(bench.look_ups.empty());
  bench.answer(call);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().completed == 3);
  CHECK(bench.supervisor->counts().cached == 2);
}

TEST_CASE("when the leader's retries are used up none of the others begins with its own") {
  DedupeBench bench{asking("aa")};
  bench.spec.policy.retries = 1;
  bench.begin();
  bench.report(bench.take_offer(), OutcomeClass::transient);
  bench.tick_at(bench.now + 10min);
  bench.report(bench.take_offer(), OutcomeClass::transient);
  bench.tick_at(bench.now + 10min);
  CHECK(bench.offered.empty());
  CHECK(bench.line_of(0)["gristmill"]["attempts"] == 2);
  CHECK(bench.line_of(1)["gristmill"]["class"] == "transient");
  const ErrorList errors = bench.supervisor->errors().list();
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].count == 3);
  CHECK(errors[0].final == 2);
}

TEST_CASE("after a leader that is given up the next one leads, is looked up and is called") {
  DedupeBench bench{asking("aaa")};
  bench.begin();
  for (int death = 0; death < 3; ++death) {
    CHECK(bench.look_ups.empty());
    bench.hear(bench.supervisor->lost({lost(bench.take_offer(), true, true, true)}, bench.now));
  }
  CHECK(bench.line_of(0)["error"]["code"] == "quarantined");
  CHECK(bench.lines().size() == 1);
  CHECK(bench.offered.empty());
  CHECK(bench.looked_up() == Items{1});
  CHECK(bench.follows(2));
  CHECK(bench.supervisor->counts().retrying == 0); // it was never called
  bench.look_up();
  const OfferedCall call = bench.take_offer();
  CHECK(item_of(call) == 1);
  bench.answer(call);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.line_of(2)["gristmill"]["cached"] == true);
}

TEST_CASE("after a leader that is refused for another's fault the next one is tried") {
  DedupeBench bench{batch_line(0, R"({"model":"a","messages":[]})") +
                        batch_line(1, R"({"model":"b","messages":[]})") +
                        batch_line(2, R"({"model":"b","messages":[]})"),
                    of_batch_lines()};
  bench.spec.endpoints.resize(1);
  bench.begin();
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  bench.answer(calls[0]);
  auto refusal = bench.outcome(calls[1], OutcomeClass::config);
  refusal.outcome.http_status = 404; // it serves another model
  refusal.alternatives = 1;
  bench.report(std::move(refusal));
  CHECK(bench.line_of(1)["gristmill"]["class"] == "config");
  CHECK(bench.line_of(2).is_null());
  CHECK(bench.looked_up() == Items{2});
  bench.look_up();
  CHECK(bench.called() == Items{2});
}

TEST_CASE("a line that can become no call ends by itself, and each of its kind, too") {
  JobSpec spec = deduping();
  for (int i = 0; i < 1'000; ++i) spec.shape.prompt += "{{text}}";
  const std::string text(20'000, 'x');
  DedupeBench bench{item_line(0, text) + item_line(1, text) + item_line(2, "x"), spec};
  bench.start_fresh();
  while (!bench.look_ups.empty()) bench.look_up();
  CHECK(bench.called() == Items{2});
  for (const std::uint64_t item : {0, 1})
    CHECK(bench.line_of(item)["error"]["code"] == "exceeds_limit");
}

TEST_CASE("a leader that falls back keeps its lead, and the others take the fallback's answer") {
  DedupeBench bench{asking("aa")};
  bench.spec.policy.fallback_model = "large";
  bench.begin();
  bench.report(bench.take_offer(), OutcomeClass::policy);
  bench.tick_at(bench.now + 1min);
  const OfferedCall call = bench.take_offer();
  CHECK(item_of(call) == 0);
  CHECK(call.planned.model == "large");
  CHECK(bench.follows(1));
  auto reported = bench.with_words(call, "yes");
  reported.outcome.model = "large";
  bench.report(std::move(reported));
  bench.settle();
  CHECK(bench.line_of(1)["gristmill"]["model"] == "large");
  CHECK(bench.all_terminal);
}

TEST_CASE("many that fail alike end in slices, so that nobody is kept waiting") {
  constexpr std::size_t slice = 256, followers = 2 * slice + 88;
  DedupeBench bench{asking(std::string(1 + followers, 'a'))};
  bench.begin();
  bench.refuse(bench.take_offer());
  std::size_t ended = 1 + slice;
  CHECK(bench.lines().size() == ended);
  while (ended < 1 + followers) {
    CHECK(bench.supervisor->wake_at() == Time::min());
    CHECK(bench.supervisor->counts().total == 1 + followers);
    bench.tick_at(bench.now);
    ended = std::min(ended + slice, 1 + followers);
    REQUIRE(bench.lines().size() == ended);
  }
  CHECK(bench.supervisor->wake_at() > Time::min());
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().failed == 1 + followers);
  CHECK(bench.supervisor->counts().calls == 1);
}

TEST_CASE("items that fail alike count as failures, and may pause the job; the rest end later") {
  constexpr std::size_t followers = 300;
  DedupeBench bench{asking(std::string(1 + followers, 'a') + "b")};
  bench.spec.policy.max_failures = 3;
  bench.begin();
  const auto calls = bench.take_offers();
  bench.refuse(calls[0]);
  CHECK_THAT(bench.failure, Contains("3 of 3 items failed"));
  CHECK(bench.lines().size() == 257);
  CHECK(bench.supervisor->wake_at() == never); // its user is asked first
  bench.hear(bench.supervisor->resume(bench.now));
  CHECK(bench.lines().size() == 1 + followers);
  bench.answer(calls[1]);
  bench.settle();
  CHECK(bench.all_terminal);
}

TEST_CASE("one that is read after others have failed is tried itself: no failure is remembered") {
  DedupeBench bench{asking(std::string(1'500, 'a'))};
  bench.start_fresh(1);
  bench.look_up();
  REQUIRE(bench.supervisor->counts().total < 1'500); // its call took the room
  bench.refuse(bench.take_offer());
  bench.want(1);
  CHECK(bench.supervisor->counts().total == 1'500);
  REQUIRE(bench.look_ups.size() == 1);
  const std::uint64_t next = bench.looked_up()[0];
  CHECK(next == 1'024);
  bench.look_up();
  CHECK(bench.called() == Items{next});
  bench.refuse(bench.take_offer());
  while (bench.supervisor->wake_at() == Time::min()) bench.tick_at(bench.now);
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().failed == 1'500);
  CHECK(bench.supervisor->counts().calls == 2);
}

TEST_CASE("one whose call is claimed while others fail alike ends as that call does") {
  DedupeBench bench{asking(std::string(600, 'a'))};
  bench.begin();
  bench.refuse(bench.take_offer());
  std::uint64_t waits = 1;
  while (!bench.line_of(waits).is_null()) ++waits;
  bench.hear(bench.supervisor->claimed({claim(waits, 900)}, bench.now));
  while (bench.supervisor->wake_at() == Time::min()) bench.tick_at(bench.now);
  CHECK(bench.lines().size() == 599);
  CHECK(bench.line_of(waits).is_null());
  bench.report_claimed(waits, 900);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.line_of(waits)["gristmill"]["cached"] == false);
  CHECK(bench.supervisor->counts().completed == 1);
}

// ---- cancel and pause ---------------------------------------------------------------------------

TEST_CASE("who follows when the job is cancelled is cancelled at once, its leader may answer") {
  DedupeBench bench{asking("aaa")};
  bench.begin();
  const OfferedCall call = bench.take_offer();
  bench.hear(bench.supervisor->cancel(bench.now));
  for (const std::uint64_t item : {1, 2})
    CHECK(bench.line_of(item)["error"]["code"] == "cancelled");
  CHECK(bench.line_of(0).is_null());
  bench.answer(call);
  bench.settle();
  CHECK(bench.look_ups.empty());
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().completed == 1);
  CHECK(bench.supervisor->counts().failed == 2);
  CHECK(bench.supervisor->counts().cached == 0);
}

TEST_CASE("what is looked up while the job is cancelled comes too late") {
  const bool of_leader = GENERATE(false, true), is_found = GENERATE(false, true);
  CAPTURE(of_leader, is_found);
  DedupeBench bench{asking("aaa")};
  bench.start_fresh();
  if (!of_leader) {
    bench.look_up();
    bench.answer(bench.take_offer());
    bench.write();
  }
  LookedUpAnswers answers = bench.found_for(bench.take_look_ups());
  REQUIRE(answers.found.size() == (of_leader ? 1 : 2));
  for (LookedUp& looked : answers.found)
    looked.answer =
        is_found ? std::optional{KnownAnswer{200, "", "m", "http://a", "{}"}} : std::nullopt;
  bench.hear(bench.supervisor->cancel(bench.now));
  CHECK(bench.lines().size() == 3);
  bench.hear(bench.supervisor->looked_up(std::move(answers), bench.now));
  CHECK(bench.offered.empty());
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.lines().size() == 3);
  CHECK(bench.supervisor->counts().failed == (of_leader ? 3 : 2));
}

TEST_CASE("a job that is cancelled while items fail alike ends each of them once") {
  DedupeBench bench{asking(std::string(1'000, 'a'))};
  bench.begin();
  bench.refuse(bench.take_offer());
  REQUIRE(bench.lines().size() == 257);
  bench.hear(bench.supervisor->cancel(bench.now));
  while (bench.supervisor->wake_at() == Time::min()) bench.tick_at(bench.now);
  bench.write();
  CHECK(bench.all_terminal);
  std::set<std::uint64_t> ended;
  for (const auto& line : bench.lines()) CHECK(ended.insert(line.item).second);
  CHECK(ended.size() == 1'000);
}

TEST_CASE("who finds nothing while the job is paused is called when it goes on, and no sooner") {
  DedupeBench bench{asking("aa")};
  bench.start_fresh();
  bench.hear(bench.supervisor->pause(bench.now));
  bench.look_up();
  bench.tick_at(bench.now + 1h);
  CHECK(bench.offered.empty());
  bench.hear(bench.supervisor->resume(bench.now));
  CHECK(bench.look_ups.empty()); // it was
  const OfferedCall call = bench.take_offer();
  CHECK(item_of(call) == 0);
  CHECK(call.planned.parts[0].raw + "\n" == item_line(0, "a"));
  CHECK(bench.follows(1));
}

TEST_CASE("an answer that is found while the job is paused is taken") {
  DedupeBench bench{asking("aab")};
  bench.begin();
  const auto calls = bench.take_offers();
  bench.answer(calls[0]);
  bench.hear(bench.supervisor->pause(bench.now));
  bench.settle();
  CHECK(bench.line_of(1)["gristmill"]["cached"] == true);
  CHECK(bench.supervisor->counts().completed == 2);
}

} // namespace supervisor_dedupe_failures_test
