// Items that ask the same after a restart: what an earlier life has asked and was answered, and
// what it may be calling.
#include "tests/unit/actors/supervisor/dedupe/dedupe_bench.hpp"

#include <map>

namespace supervisor_dedupe_restart_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;

TEST_CASE("an answer of an earlier life is found, and costs no call") {
  DedupeBench first{asking("aaa")};
  first.begin();
  first.answer(first.take_offer());
  first.write(); // … and there it crashes
  DedupeBench second{asking("aaa")};
  second.durable_answers = first.durable_answers;
  RecoveredItems recovered = marked(3);
  recovered.terminal.insert(0);
  recovered.counts.completed = 1;
  second.start(std::move(recovered), 4);
  second.want(10);
  CHECK(second.look_ups.empty()); // a worker may be calling it
  second.hear(second.supervisor->grace_over(second.now));
  CHECK(second.looked_up() == Items{1});
  second.look_up();
  CHECK(second.looked_up() == Items{2}); // the answer is durable
  second.settle();
  CHECK(second.offered.empty());
  CHECK(second.all_terminal);
  CHECK(second.line_of(1)["response"] == first.line_of(0)["response"]);
}

TEST_CASE("whose call is claimed after a restart leads all that ask the same") {
  const std::uint64_t claimed = GENERATE(0, 1);
  const bool is_kept = GENERATE(false, true);
  CAPTURE(claimed, is_kept);
  DedupeBench bench{asking("aaa")};
  bench.start(marked(2));
  bench.want(10);
  CHECK(bench.waits(0).kind == WaitKind::claims);
  CHECK(bench.follows(2)); // it is read, and nobody can be calling it
  CHECK(bench.offered.empty());
  CHECK(bench.look_ups.empty());
  const auto claims = std::vector{claim(claimed, 900)};
  bench.hear(is_kept ? bench.supervisor->kept(claims, bench.now)
                     : bench.supervisor->claimed(claims, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.offered.empty());
  CHECK(bench.look_ups.empty());
  CHECK(bench.follows(1 - claimed));
  CHECK(bench.follows(2));
  bench.report_claimed(claimed, 900);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.lines()[0].item == claimed);
  CHECK(bench.supervisor->counts().calls == 1);
  CHECK(bench.supervisor->counts().cached == 2);
}

TEST_CASE("a claimed call that fails for a while is made again, without a look-up") {
  DedupeBench bench{asking("aa")};
  bench.start(marked(2));
  bench.want(10);
  bench.hear(bench.supervisor->claimed({claim(1, 900)}, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.report_claimed(1, 900, OutcomeClass::transient);
  bench.tick_at(bench.now + 10min);
  CHECK(bench.look_ups.empty());
  CHECK(bench.called() == Items{1});
  CHECK(bench.follows(0));
}

TEST_CASE("of those that nobody claims after a restart one is looked up, and is called") {
  DedupeBench bench{asking("aaab")};
  bench.start(marked(2));
  bench.want(10);
  CHECK(bench.looked_up() == Items{3});
  bench.look_up();
  CHECK(bench.called() == Items{3});
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.looked_up() == Items{0});
  bench.look_up();
  CHECK(bench.called() == Items{3, 0});
  CHECK(bench.follows(1));
  CHECK(bench.follows(2));
}

TEST_CASE("two that an earlier life has called both end, and whoever follows takes an answer") {
  const bool in_order = GENERATE(false, true);
  CAPTURE(in_order);
  DedupeBench bench{asking("aaa")};
  bench.start(marked(3));
  bench.want(10);
  bench.hear(bench.supervisor->claimed({claim(0, 900), claim(1, 901)}, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.follows(2));
  const std::uint64_t one = in_order ? 0 : 1;
  bench.report_claimed(one, 900 + one);
  bench.settle();
  CHECK(bench.lines().size() == 2);
  CHECK(bench.line_of(2)["gristmill"]["cached"] == true);
  bench.report_claimed(1 - one, 901 - one);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().calls == 2);
  CHECK(bench.lines().size() == 3);
}

TEST_CASE("an outcome that nobody claimed ends its item, and the others take it") {
  DedupeBench bench{asking("aa")};
  bench.start(marked(2));
  bench.want(10);
  bench.report_claimed(0, 900);
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.offered.empty());
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().calls == 1);
  CHECK(bench.offered.empty());
}

TEST_CASE("an item that follows, and is claimed late, leads the one that waits for another call") {
  DedupeBench bench{asking("aa")};
  bench.start(marked(2));
  bench.want(10);
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.look_up();
  const OfferedCall call = bench.take_offer();
  CHECK(item_of(call) == 0);
  bench.hear(bench.supervisor->claimed({claim(1, 900)}, bench.now));
  CHECK(bench.withdrawn.empty());
  bench.report(call, OutcomeClass::rate, 1'000);
  bench.tick_at(bench.now + 10min);
  CHECK(bench.offered.empty());
  CHECK(bench.follows(0));
  bench.report_claimed(1, 900);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.line_of(0)["gristmill"]["cached"] == true);
}

TEST_CASE("an item that is claimed late is not looked up beside its call") {
  DedupeBench bench{asking("aa")};
  bench.start(marked(2));
  bench.want(10);
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.look_up();
  const OfferedCall call = bench.take_offer();
  CHECK(bench.follows(1));
  bench.hear(bench.supervisor->claimed({claim(1, 900)}, bench.now));
  bench.answer(call);
  bench.write();
  CHECK(bench.look_ups.empty());
  CHECK(bench.supervisor->standing({"", 1}, bench.now).call == CallId{900});
  bench.report_claimed(1, 900);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.line_of(1)["gristmill"]["cached"] == false);
}

TEST_CASE("who is answered by a call of which nobody knew any more does not lead") {
  DedupeBench bench{asking("aaa")};
  bench.start(marked(3));
  bench.want(10);
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.look_up();
  CHECK(bench.follows(1));
  bench.report_claimed(1, 900);
  CHECK(bench.lines().size() == 1);
  for (int death = 0; death < 3; ++death)
    bench.hear(bench.supervisor->lost({lost(bench.take_offer(), true, true, true)}, bench.now));
  CHECK(bench.line_of(0)["error"]["code"] == "quarantined");
  CHECK(bench.looked_up() == Items{2});
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.line_of(2)["response"] == bench.line_of(1)["response"]);
}

// An earlier life may have gone on to the fallback, and died before the journal said so.
TEST_CASE("an earlier life's answer is for this job alone where the model may have been another") {
  const bool falls_back = GENERATE(false, true), is_claimed = GENERATE(false, true);
  CAPTURE(falls_back, is_claimed);
  DedupeBench bench{asking("aa")};
  if (falls_back) bench.spec.policy.fallback_model = "large";
  bench.start(marked(1));
  bench.want(10);
  if (is_claimed) bench.hear(bench.supervisor->claimed(std::vector{claim(0, 900)}, bench.now));
  bench.report_claimed(0, 900);
  REQUIRE(bench.last().durable.answered.size() == 1);
  CHECK(bench.last().durable.answered[0].for_others == !falls_back);
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().cached == 1);
}

TEST_CASE("one that goes alone, and then follows, keeps nobody from being called") {
  DedupeBench bench{asking("aabcd")};
  bench.spec.policy.patience_s = 1'000'000;
  bench.start(marked(2));
  bench.want(1'000);
  bench.hear(bench.supervisor->grace_over(bench.now));
  while (!bench.look_ups.empty()) bench.look_up();
  const auto end = [&](const OfferedCall& call, OutcomeClass cls) {
    auto reported =
        cls == OutcomeClass::ok ? bench.with_words(call, "yes") : bench.outcome(call, cls);
    reported.outcome.endpoint = EndpointId{1};
    if (cls != OutcomeClass::ok) reported.outcome.code = "bad_gateway";
    reported.began = bench.now;
    bench.report(std::move(reported));
  };
  std::vector<OfferedCall> others = bench.take_offers();
  REQUIRE(others.size() == 4);
  OfferedCall suspect = others.back();
  REQUIRE(item_of(suspect) == 0);
  others.pop_back();
  // It fails where others are answered, and will be tried alone after the third time.
  for (int failures = 0; failures < 2; ++failures) {
    end(suspect, OutcomeClass::gateway);
    end(others.back(), OutcomeClass::ok);
    others.pop_back();
    bench.tick_at(bench.now + 1min);
    suspect = bench.take_offer();
    CHECK(item_of(suspect) == 0);
  }
  end(suspect, OutcomeClass::gateway);
  // Meanwhile a worker comes back that has called the other one that asks this: it leads now.
  bench.hear(bench.supervisor->claimed({claim(1, 900)}, bench.now));
  bench.report_claimed(1, 900, OutcomeClass::rate, 60'000);
  end(others.back(), OutcomeClass::ok);
  for (int n = 0; n < 100 && !bench.all_terminal; ++n) {
    for (const OfferedCall& call : bench.take_offers()) end(call, OutcomeClass::ok);
    bench.settle();
    bench.tick_at(bench.now + 10s);
  }
  CHECK(bench.all_terminal);
  CHECK(bench.line_of(0)["gristmill"]["cached"] == true);
}

TEST_CASE("from wherever it stopped a job goes on, and calls nothing to which it has the answer") {
  const auto seed = GENERATE(range(1u, 9u));
  CAPTURE(seed);
  Random random{seed};
  constexpr std::uint64_t items = 60;
  std::string letters;
  for (std::uint64_t item = 0; item < items; ++item)
    letters += static_cast<char>('a' + random.below(12));
  const auto play = [&](DedupeBench& bench, std::uint64_t events) {
    std::map<char, int> called;
    for (std::uint64_t n = 0; n < events && !bench.all_terminal; ++n) {
      bench.want(static_cast<std::uint32_t>(random.below(4)));
      std::vector<OfferedCall> calls = bench.take_offers();
      for (const OfferedCall& call : calls) {
        const std::uint64_t what = random.below(5);
        if (what < 3) {
          ++called[letters[item_of(call)]];
          bench.answer(call, std::string(1, letters[item_of(call)]));
        } else if (what == 3) {
          bench.report(call, OutcomeClass::unavailable);
        } else {
          bench.hear(bench.supervisor->lost({lost(call, true)}, bench.now));
        }
      }
      if (random.chance(0.5)) bench.write();
      if (random.chance(0.5) && !bench.look_ups.empty()) bench.look_up();
      bench.tick_at(bench.now + random.between(0s, 60s));
    }
    for (const auto& [letter, times] : called) {
      CAPTURE(letter);
      CHECK(times == 1);
    }
  };
  DedupeBench first{asking(letters)};
  first.spec.policy.patience_s = 10'000'000;
  first.start_fresh(0);
  play(first, 20 + random.below(60));
  first.write();
  RecoveredItems recovered = marked(items);
  for (const auto& line : first.lines()) REQUIRE(recovered.terminal.insert(line.item));
  recovered.counts.completed = first.lines().size();
  DedupeBench second{asking(letters)};
  second.spec.policy.patience_s = 10'000'000;
  second.durable_answers = first.durable_answers;
  second.start(std::move(recovered), 4);
  second.hear(second.supervisor->grace_over(second.now));
  play(second, 10'000);
  REQUIRE((second.all_terminal || first.all_terminal));
  CHECK(first.lines().size() + second.lines().size() == items);
  for (const auto& line : second.lines()) {
    if (!line.key) continue;
    CHECK_FALSE(first.durable_answers.contains(line.key));
  }
  for (const DedupeBench* bench : {&first, &second})
    for (const auto& line : bench->lines()) {
      const auto json = nlohmann::json::parse(line.line);
      CHECK(json["response"]["body"]["choices"][0]["message"]["content"] ==
            std::string(1, letters[line.item]));
    }
}

} // namespace supervisor_dedupe_restart_test
