// A job whose workers or whose coordinator died: what is called again, what is not, and that every
// item gets its one line from wherever the journal stopped.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <map>
#include <set>

namespace supervisor_restart_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;

namespace {

// A job of so many items that somebody may be calling all of.
RecoveredItems all_marked(std::uint64_t items) {
  RecoveredItems recovered;
  recovered.mark = items;
  recovered.may_have_called = true;
  return recovered;
}

// What a journal that holds these appends gives back.
RecoveredItems recovered_from(const std::vector<Append>& appends, std::size_t count,
                              std::uint64_t mark) {
  RecoveredItems recovered;
  recovered.mark = mark;
  std::map<std::uint64_t, journal::AttemptNote> notes;
  for (std::size_t i = 0; i < count; ++i) {
    const Append& append = appends[i];
    for (const auto& line : append.lines) {
      REQUIRE(recovered.terminal.insert(line.item));
      ++(line.failed() ? recovered.counts.failed : recovered.counts.completed);
    }
    for (const auto& note : append.attempts) notes[note.part.item] = note;
    recovered.low = std::max(recovered.low, append.note.low);
  }
  for (const auto& [item, note] : notes)
    if (!recovered.terminal.contains(item)) recovered.parts.notes.push_back(note);
  return recovered;
}

void answer_everything(Bench& bench) {
  for (int rounds = 0; !bench.all_terminal; ++rounds) {
    REQUIRE(rounds < 1'000);
    for (const auto& call : bench.take_offers()) bench.report(call, OutcomeClass::ok);
    bench.write();
    bench.tick_at(bench.now + 1min);
  }
}

} // namespace

TEST_CASE("a call that was never started is offered again at once and uses up nothing") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  const auto first = bench.take_offer();
  bench.hear(bench.supervisor->returned({lost(first, false)}, bench.now));
  const auto second = bench.take_offer();
  CHECK(second.planned.call != first.planned.call);
  CHECK(bench.appends.empty());
  bench.hear(bench.supervisor->returned({lost(first, false)}, bench.now)); // told again
  CHECK(bench.offered.empty());
}

TEST_CASE("calls of a lost session are called again; permitted ones are ambiguous") {
  Bench bench{good_lines(2)};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.hear(bench.supervisor->lost({lost(calls[0], true), lost(calls[1], false)}, bench.now));
  CHECK(bench.take_offers().size() == 2);
  CHECK(bench.supervisor->counts().ambiguous == 1);
  CHECK(bench.last().note.ambiguous == 1);
  CHECK(bench.last().attempts.empty());
}

TEST_CASE("an item under which three workers died is given up") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  for (std::uint32_t death = 1; death <= 3; ++death) {
    CHECK(bench.lines().empty());
    bench.hear(bench.supervisor->lost({lost(bench.take_offer(), true, true, true)}, bench.now));
    REQUIRE(bench.last().attempts.size() == 1);
    CHECK(bench.last().attempts[0].deaths == death);
  }
  CHECK(bench.offered.empty());
  CHECK(bench.line_of(0)["error"]["code"] == "quarantined");
}

TEST_CASE("only a death during a call that was alone gives its item up") {
  const auto [permitted, died, alone] = GENERATE(table<bool, bool, bool>({
      {true, false, true},
      {false, true, true},
      {true, true, false}, // it may have been another call's fault
  }));
  CAPTURE(permitted, died, alone);
  Bench bench{good_lines(1)};
  bench.start_fresh();
  for (int i = 0; i < 10; ++i)
    bench.hear(
        bench.supervisor->lost({lost(bench.take_offer(), permitted, died, alone)}, bench.now));
  CHECK(bench.lines().empty());
  CHECK(bench.offered.size() == 1);
}

TEST_CASE("attempts and deaths of an earlier life count on") {
  Bench bench{good_lines(2)};
  bench.spec.policy.retries = 3;
  RecoveredItems recovered;
  recovered.parts.notes = {{{JobId{7}, 0, 0}, 3, 0}, {{JobId{7}, 1, 0}, 0, 2}};
  bench.start(recovered);
  bench.want(10);
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  bench.report(calls[0], OutcomeClass::transient);
  bench.hear(bench.supervisor->lost({lost(calls[1], true, true, true)}, bench.now));
  CHECK(bench.line_of(0)["gristmill"]["attempts"] == 4);
  CHECK(bench.line_of(1)["error"]["code"] == "quarantined");
}

TEST_CASE("after a restart items below the mark wait for the grace, those above go at once") {
  Bench bench{good_lines(5)};
  bench.start(all_marked(3));
  bench.want(100);
  std::set<std::uint64_t> offered;
  for (const auto& call : bench.take_offers()) offered.insert(call.planned.parts[0].id.item);
  CHECK(offered == std::set<std::uint64_t>{3, 4});
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.take_offers().size() == 3);
  CHECK(bench.supervisor->counts().ambiguous == 3);
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.supervisor->counts().ambiguous == 3);
}

TEST_CASE("no more items are ambiguous than calls could have been in flight") {
  const auto [untold, at_once, ambiguous] = GENERATE(table<std::uint64_t, std::uint64_t, int>(
      {{0, 9, 0}, {2, 9, 2}, {3, 9, 3}, {4, 9, 3}, {9, 2, 2}, {9, 0, 0}}));
  CAPTURE(untold, at_once);
  Bench bench{good_lines(5)};
  auto recovered = all_marked(3); // the mark runs ahead of the calls
  recovered.calls_at_once = at_once;
  bench.start(std::move(recovered));
  bench.want(100);
  bench.hear(bench.supervisor->grace_over(bench.now, untold));
  CHECK(bench.supervisor->counts().ambiguous == static_cast<std::uint64_t>(ambiguous));
  CHECK(bench.take_offers().size() == 5); // all are called again
}

TEST_CASE("nothing is ambiguous after a restart when no worker was there") {
  Bench bench{good_lines(2)};
  auto recovered = all_marked(2);
  recovered.may_have_called = false;
  bench.start(std::move(recovered));
  bench.want(100);
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.take_offers().size() == 2);
  CHECK(bench.supervisor->counts().ambiguous == 0);
}

TEST_CASE("a worker that claims its call has not died of it") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  for (int death = 1; death <= 2; ++death)
    bench.hear(bench.supervisor->lost({lost(bench.take_offer(), true, true, true)}, bench.now));
  bench.hear(bench.supervisor->claimed({claim(0, 900)}, bench.now));
  bench.hear(bench.supervisor->lost({LostCall{CallId{900}, true, true, true}}, bench.now));
  CHECK(bench.lines().empty());
}

TEST_CASE("what a worker claims or keeps is not called again when the grace is over") {
  Bench bench{good_lines(3)};
  bench.start(all_marked(3));
  bench.want(100);
  bench.hear(bench.supervisor->claimed({claim(0, 900)}, bench.now));
  bench.hear(bench.supervisor->kept({claim(1, 901)}, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.take_offer().planned.parts[0].id.item == 2);
  CHECK(bench.take_withdrawn().empty());
  CHECK(bench.supervisor->counts().ambiguous == 1);
  OfferedCall known;
  known.planned.call = CallId{900};
  known.planned.parts = planned({{JobId{7}, 0, 0}});
  bench.report(known, OutcomeClass::transient);
  CHECK(bench.supervisor->counts().retrying == 1);
}

TEST_CASE("an outcome that nobody claimed counts, too, after a restart") {
  const auto cls = GENERATE(OutcomeClass::ok, OutcomeClass::bad_line, OutcomeClass::transient);
  CAPTURE(cls);
  Bench bench{good_lines(1)};
  bench.start(all_marked(1));
  OfferedCall known;
  known.planned.call = CallId{900};
  known.planned.parts = planned({{JobId{7}, 0, 0}});
  bench.report(known, cls);
  CHECK(bench.lines().size() == (cls == OutcomeClass::transient ? 0 : 1));
  CHECK(bench.supervisor->counts().attempts == 1);
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.supervisor->counts().retrying == (cls == OutcomeClass::transient ? 1 : 0));
  CHECK(bench.supervisor->counts().ambiguous == 0);
}

TEST_CASE("a failure of an earlier life leaves its item to whoever claims it within the grace") {
  const bool claims = GENERATE(false, true);
  CAPTURE(claims);
  Bench bench{good_lines(1)};
  bench.start(all_marked(1));
  bench.want(100);
  OfferedCall known;
  known.planned.call = CallId{900};
  known.planned.parts = planned({{JobId{7}, 0, 0}});
  bench.hear(bench.supervisor->kept({claim(0, 900)}, bench.now));
  for (int told = 0; told < 3; ++told) {
    bench.hear(bench.supervisor->kept({claim(0, 900)}, bench.now));
    bench.report(known, OutcomeClass::transient);
  }
  CHECK(bench.supervisor->counts().attempts == 1);
  bench.tick_at(bench.now + 1h);
  CHECK(bench.offered.empty());
  if (claims) bench.hear(bench.supervisor->claimed({claim(0, 901)}, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  CHECK(bench.offered.size() == (claims ? 0 : 1));
}

TEST_CASE("a late claim takes the item from its later call, wherever that is") {
  const bool waiting = GENERATE(false, true);
  CAPTURE(waiting);
  Bench bench{good_lines(2)};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  if (waiting) bench.report(calls[0], OutcomeClass::transient);
  bench.hear(bench.supervisor->claimed({claim(0, 900)}, bench.now));
  CHECK(bench.take_withdrawn() ==
        (waiting ? std::vector<CallId>{} : std::vector<CallId>{calls[0].planned.call}));
  CHECK(bench.supervisor->counts().retrying == 0);
  bench.tick_at(bench.now + 1h);
  CHECK(bench.offered.empty());
  bench.hear(bench.supervisor->lost({LostCall{CallId{900}, true, false, false}}, bench.now));
  CHECK(bench.take_offer().planned.parts[0].id.item == 0);
}

TEST_CASE("a claim of an item that is terminal is withdrawn, a kept outcome of it is not") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  bench.report(bench.take_offer(), OutcomeClass::ok);
  bench.hear(bench.supervisor->claimed({claim(0, 900)}, bench.now));
  CHECK(bench.take_withdrawn() == std::vector<CallId>{CallId{900}});
  bench.hear(bench.supervisor->kept({claim(0, 901)}, bench.now));
  CHECK(bench.take_withdrawn().empty());
}

TEST_CASE("a kept outcome takes an item from nobody") {
  Bench bench{good_lines(1)};
  bench.start_fresh();
  const auto call = bench.take_offer();
  bench.hear(bench.supervisor->kept({claim(0, 900)}, bench.now));
  CHECK(bench.take_withdrawn().empty());
  bench.report(call, OutcomeClass::bad_line);
  CHECK(bench.lines().size() == 1);
}

TEST_CASE("calls of two lives and of two jobs never have the same name") {
  std::set<CallId> calls;
  for (std::uint32_t epoch = 3; epoch <= 5; ++epoch) {
    Bench bench{good_lines(4)};
    bench.start({}, epoch);
    bench.hear(bench.supervisor->grace_over(bench.now));
    bench.want(10);
    for (const auto& call : bench.take_offers()) calls.insert(call.planned.call);
  }
  CHECK(calls.size() == 12);
}

TEST_CASE("from whatever the journal held a job goes on and ends with every item once") {
  const auto seed = GENERATE(range(1u, 7u));
  CAPTURE(seed);
  Random random{seed};
  constexpr std::uint64_t items = 40;
  std::string text = random.chance(0.5) ? "\xEF\xBB\xBF" : "";
  for (std::uint64_t item = 0; item < items; ++item) {
    if (random.chance(0.1)) text += "\n";
    text += random.chance(0.1) ? fmt::format("bad {}\n", item) : good_line(item);
  }
  const std::size_t half = text.find('\n', text.size() / 2) + 1;
  const auto make = [&] {
    Bench bench{text.substr(0, half), spec_of(2)};
    bench.source.inputs.push_back(text.substr(half));
    return bench;
  };
  Bench first = make();
  first.start_fresh(0);
  std::vector<OfferedCall> calls;
  while (!first.all_terminal) {
    first.want(static_cast<std::uint32_t>(random.below(4)));
    for (auto& call : first.take_offers()) calls.push_back(std::move(call));
    for (std::uint64_t n = random.below(4); n > 0 && !calls.empty(); --n) {
      std::swap(calls[random.below(calls.size())], calls.back());
      const OfferedCall call = calls.back();
      calls.pop_back();
      if (random.chance(0.1)) {
        first.hear(first.supervisor->lost({lost(call, true, random.chance(0.5), true)}, first.now));
      } else {
        first.report(call, random.chance(0.5)   ? OutcomeClass::ok
                           : random.chance(0.5) ? OutcomeClass::timeout
                                                : OutcomeClass::policy);
      }
    }
    if (random.chance(0.3)) first.write();
    first.tick_at(first.now + random.between(0s, 2s));
  }
  for (std::size_t kept = 0; kept <= first.appends.size(); ++kept) {
    auto recovered = recovered_from(first.appends, kept, random.chance(0.5) ? items : 0);
    REQUIRE(recovered.low.item <= recovered.terminal.low());
    Bench second = make();
    second.start(std::move(recovered), 4);
    second.hear(second.supervisor->grace_over(second.now));
    second.want(1'000'000);
    answer_everything(second);
    std::map<std::uint64_t, int> lines;
    for (std::size_t i = 0; i < kept; ++i)
      for (const auto& line : first.appends[i].lines) ++lines[line.item];
    for (const auto& line : second.lines()) {
      ++lines[line.item];
      // An ordinal means the same line in every life.
      const auto json = nlohmann::json::parse(line.line);
      REQUIRE(json["gristmill"]["source"] == first.line_of(line.item)["gristmill"]["source"]);
      REQUIRE(json["custom_id"] == first.line_of(line.item)["custom_id"]);
    }
    REQUIRE(lines.size() == items);
    for (const auto& [item, times] : lines) REQUIRE(times == 1);
    REQUIRE(second.supervisor->counts().total == items);
    REQUIRE(second.supervisor->counts().terminal() == items);
  }
}

} // namespace supervisor_restart_test
