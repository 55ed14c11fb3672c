// Which part is offered next, and when one will be.
#include "actors/supervisor/turns.hpp"

#include <catch2/catch.hpp>

namespace part_turns_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;
constexpr Duration tick = 1ns;

PartId part(std::uint64_t item) {
  return {JobId{7}, item, 0};
}

struct Row {
  PartLedger ledger;
  Suspects suspects;
  Turns turns;
  Turns::Situation situation{false, false, now};

  void out(std::uint64_t item, int suspicions = 0) {
    OpenPart open;
    open.state = Out{CallId{1}};
    ledger.add(part(item), std::move(open));
    for (int n = 0; n < suspicions; ++n) ledger.suspect(part(item), now);
  }
  void waits(std::uint64_t item, Time not_before = now, int suspicions = 0) {
    out(item, suspicions);
    ledger.wait(part(item), not_before);
  }
  // An endpoint's fault met it just now.
  void behind(std::uint64_t item, Time not_before = now) {
    out(item);
    ledger.fall_behind(part(item), now);
    ledger.wait(part(item), not_before);
  }
  // A part that goes alone has failed, and nobody was answered since.
  void wants_witness(std::uint64_t item) {
    waits(item, now, suspicions_alone);
    ledger.alone_wait_for(suspects.answers() + 1);
  }
  std::optional<std::uint64_t> next() const {
    const auto turn = turns.next(ledger, suspects, situation);
    return turn ? std::optional{turn->part.item} : std::nullopt;
  }
  bool others_stand() const { return turns.others_stand(ledger, suspects, situation); }
  std::optional<std::uint64_t> probe(Time at = now) const {
    const auto part = turns.next_probe(ledger, at);
    return part ? std::optional{part->item} : std::nullopt;
  }
};
using Item = std::optional<std::uint64_t>;

} // namespace

TEST_CASE("a part has its turn when it is due") {
  const auto [after, has_turn] =
      GENERATE(table<Duration, bool>({{-tick, true}, {0ns, true}, {tick, false}}));
  CAPTURE(after.count());
  const int suspicions = GENERATE(0, 2, 3);
  CAPTURE(suspicions);
  Row row;
  row.waits(5, now + after, suspicions);
  CHECK(row.next() == (has_turn ? Item{5} : std::nullopt));
  // Fresh items wait for one of a portion, or one that goes alone.
  CHECK(row.others_stand() == (has_turn && suspicions > 0));
}

TEST_CASE("nothing has its turn where nothing waits") {
  Row row;
  CHECK_FALSE(row.next());
  CHECK_FALSE(row.probe());
  CHECK(row.turns.next_at(row.ledger) == never);
  row.out(1);
  CHECK_FALSE(row.next());
}

TEST_CASE("one that goes alone has its turn when nothing else is out") {
  const bool beside = GENERATE(false, true);
  Row row;
  if (beside) row.out(1);
  row.waits(2);
  row.waits(5, now, suspicions_alone);
  CHECK(row.next() == (beside ? std::nullopt : Item{5}));
  CHECK(row.others_stand());
  if (beside) return;
  CHECK(row.turns.next(row.ledger, row.suspects, row.situation)->alone);
  // While it is out nobody else has.
  row.suspects.goes_alone(part(5));
  row.ledger.set_out(part(5), CallId{2});
  CHECK_FALSE(row.next());
  CHECK(row.others_stand());
  row.situation.cancelling = true;
  CHECK_FALSE(row.others_stand());
}

TEST_CASE("after a failure alone one other goes, to be answered") {
  const bool beside = GENERATE(false, true);
  CAPTURE(beside);
  Row row;
  row.wants_witness(5);
  row.waits(2);
  if (beside) row.out(3);
  CHECK(row.next() == (beside ? std::nullopt : Item{2}));
  CHECK(row.others_stand() == beside);
}

TEST_CASE("portions go before others, no more at a time than the root of all suspects of them") {
  const auto [parts, most] = GENERATE(table<std::uint64_t, std::uint64_t>({
      {1, 1},
      {3, 2},
      {4, 2},
      {5, 3},
      {9, 3},
      {10, 4},
  }));
  CAPTURE(parts);
  Row row;
  row.waits(99);
  for (std::uint64_t item = 0; item < parts; ++item) row.waits(item, now, suspicions_portion);
  std::uint64_t out = 0;
  while (const Item item = row.next()) {
    REQUIRE(*item < parts);
    row.ledger.set_out(part(*item), CallId{2});
    if (++out == parts) break;
  }
  CHECK(out == most);
  CHECK(row.others_stand() == (out < parts));
}

TEST_CASE("the last others are kept back while there are suspects, but not of a cancelled job") {
  static constexpr std::uint64_t witnesses = 8; // suspects.cpp
  const std::uint64_t others = GENERATE(witnesses - 1, witnesses, witnesses + 1);
  const bool cancelling = GENERATE(false, true);
  CAPTURE(others, cancelling);
  Row row;
  row.situation.cancelling = cancelling;
  for (std::uint64_t item = 0; item < others; ++item) row.waits(item);
  row.waits(50, now + 1s, suspicions_alone);
  CHECK(row.next().has_value() == (others > witnesses || cancelling));
}

TEST_CASE("what failed with its endpoint goes one by one, another when one takes its time") {
  constexpr auto follows = 2s;
  Row row;
  row.out(1);
  row.behind(5);
  CHECK_FALSE(row.next());
  row.turns.probed(now);
  CHECK_FALSE(row.probe(now + follows - tick));
  CHECK(row.probe(now + follows) == Item{5});
  CHECK(row.probe(now + follows + tick) == Item{5});
  // At once when nothing is out.
  row.ledger.end(part(1));
  CHECK(row.probe(now) == Item{5});
}

TEST_CASE("a probe is due, and one that was kept back goes before those that have failed") {
  const auto [after, is_due] =
      GENERATE(table<Duration, bool>({{-tick, true}, {0ns, true}, {tick, false}}));
  const bool kept_back = GENERATE(false, true);
  CAPTURE(after.count(), kept_back);
  Row row;
  row.behind(5, now + after);
  if (kept_back) row.waits(8);
  CHECK(row.probe() == (kept_back ? Item{8} : is_due ? Item{5} : std::nullopt));
}

TEST_CASE("the next turn is when a part becomes due that was not at the last look") {
  const auto [after, counts] =
      GENERATE(table<Duration, bool>({{-tick, false}, {0ns, false}, {tick, true}}));
  const int lane = GENERATE(0, 1, 2);
  CAPTURE(after.count(), lane);
  Row row;
  row.turns.look(now);
  CHECK(row.turns.looked_at() == now);
  row.waits(5, now + after, lane == 0 ? 0 : lane == 1 ? suspicions_portion : suspicions_alone);
  CHECK(row.turns.next_at(row.ledger) == (counts ? now + after : never));
}

TEST_CASE("a part behind others has its turn when it is due, or when a probe takes its time") {
  Row row;
  row.turns.look(now);
  row.turns.probed(now);
  row.behind(5);
  CHECK(row.turns.next_at(row.ledger) == now + 2s); // it was due at the last look
  row.turns.look(now + 2s);
  CHECK(row.turns.next_at(row.ledger) == never);
  row.behind(6, now + 5s);
  CHECK(row.turns.next_at(row.ledger) == never); // not the first of them
}

} // namespace part_turns_test
