// What is known of the parts that are neither unread nor terminal.
#include "actors/supervisor/parts/part_ledger.hpp"

#include "actors/kit/check.hpp"

#include <catch2/catch.hpp>

namespace part_ledger_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;

PartId part(std::uint64_t item, std::uint32_t number = 0) {
  return {JobId{7}, item, number};
}
OpenPart out_part() {
  OpenPart open;
  open.state = Out{CallId{1}};
  return open;
}
PartTally tried(std::uint32_t tries, std::uint32_t deaths = 0) {
  PartTally tally;
  tally.tries = tries;
  tally.deaths = deaths;
  return tally;
}

// The items of the parts that are due, in the order in which they are taken.
std::vector<std::uint64_t> taken(PartLedger& ledger, Time at, Lane lane = Lane::open) {
  std::vector<std::uint64_t> items;
  while (const auto due = ledger.due(lane, at)) {
    ledger.set_out(*due, CallId{2});
    items.push_back(due->item);
  }
  ledger.invariant();
  return items;
}

// Items 0 to `count`, all out.
PartLedger with(std::uint64_t count) {
  PartLedger ledger;
  for (std::uint64_t item = 0; item < count; ++item) ledger.add(part(item), out_part());
  return ledger;
}

void suspect(PartLedger& ledger, std::uint64_t item, int times) {
  for (int n = 0; n < times; ++n) ledger.suspect(part(item), Time{});
}

} // namespace

TEST_CASE("an item is live until it is terminal, and terminal once") {
  PartLedger ledger;
  ledger.add(part(0), out_part());
  CHECK(ledger.find(part(0)) != nullptr);
  CHECK(ledger.live_count() == 1);
  ledger.end(part(0));
  CHECK(ledger.find(part(0)) == nullptr);
  CHECK(ledger.is_terminal(0));
  CHECK(ledger.low() == 1);
  CHECK_THROWS_AS(ledger.end(part(0)), CheckFailed);
  CHECK_THROWS_AS(ledger.add(part(0), out_part()), CheckFailed);
}

TEST_CASE("a part cannot be open twice") {
  PartLedger ledger;
  ledger.add(part(3), out_part());
  CHECK_THROWS_AS(ledger.add(part(3), out_part()), CheckFailed);
}

TEST_CASE("waiting items are taken when they are due, the earliest first") {
  PartLedger ledger;
  for (std::uint64_t item = 0; item < 4; ++item) ledger.add(part(item), out_part());
  CHECK(ledger.next_due() == never);
  ledger.wait(part(2), now + 1s);
  ledger.wait(part(1), now + 2s);
  ledger.wait(part(0), now + 1s);
  CHECK(ledger.waiting_count() == 3);
  CHECK(ledger.next_due() == now + 1s);
  CHECK(taken(ledger, now + 1s - 1ns).empty());
  CHECK(taken(ledger, now + 1s) == std::vector<std::uint64_t>{0, 2});
  CHECK(ledger.find(part(0))->call());
  CHECK(ledger.waiting_count() == 1);
  CHECK(ledger.next_due() == now + 2s);
}

TEST_CASE("an item that waits anew counts once and is taken at its new time") {
  PartLedger ledger;
  ledger.add(part(0), out_part());
  ledger.wait(part(0), now + 1s);
  ledger.wait(part(0), now + 3s);
  CHECK(ledger.waiting_count() == 1);
  CHECK(ledger.next_due() == now + 3s);
  CHECK(taken(ledger, now + 2s).empty());
  CHECK(taken(ledger, now + 3s) == std::vector<std::uint64_t>{0});
  CHECK(ledger.waiting_count() == 0);
}

TEST_CASE("a waiting item that becomes terminal waits no more") {
  PartLedger ledger;
  ledger.add(part(0), out_part());
  ledger.wait(part(0), now);
  ledger.end(part(0));
  CHECK(ledger.waiting_count() == 0);
  CHECK(ledger.next_due() == never);
  CHECK(taken(ledger, now + 1h).empty());
}

TEST_CASE("only what has been tried before is being retried; what came back unsent just waits") {
  PartLedger ledger;
  for (std::uint64_t item = 0; item < 3; ++item) ledger.add(part(item), out_part());
  ledger.wait(part(0), now);
  ledger.set_tally(part(1), tried(1));
  ledger.wait(part(1), now + 1s);
  ledger.set_tally(part(2), tried(0, 1));
  ledger.wait(part(2), now + 1s);
  CHECK(ledger.waiting_count() == 3);
  CHECK(ledger.retrying_count() == 2);
  ledger.set_tally(part(0), tried(1));
  ledger.wait(part(0), now + 2s); // moved, and counted once
  CHECK(ledger.waiting_count() == 3);
  CHECK(ledger.retrying_count() == 3);
  ledger.set_tally(part(1), tried(2));
  ledger.end(part(1));
  CHECK(taken(ledger, now + 2s) == std::vector<std::uint64_t>{2, 0});
  CHECK(ledger.waiting_count() == 0);
  CHECK(ledger.retrying_count() == 0);
}

TEST_CASE("an item of an endpoint's fault waits behind until a call that began since is answered") {
  PartLedger ledger = with(2);
  for (std::uint64_t item = 0; item < 2; ++item) {
    ledger.fall_behind(part(item), now);
    ledger.wait(part(item), now);
  }
  CHECK(taken(ledger, now).empty());
  const auto due = ledger.due(Lane::behind, now);
  REQUIRE(due);
  const std::uint64_t first = due->item;
  ledger.set_out(*due, CallId{2});
  ledger.end_of_outage(now - 1ns, now + 1s);
  CHECK(taken(ledger, now).empty());
  ledger.end_of_outage(now, now + 1s);
  CHECK(taken(ledger, now) == std::vector<std::uint64_t>{1 - first});
  CHECK(taken(ledger, now, Lane::behind).empty());
}

TEST_CASE("an item that waits already falls behind all the same, and comes back") {
  PartLedger ledger = with(1);
  ledger.wait(part(0), now);
  ledger.fall_behind(part(0), now); // of a call that had been given up
  CHECK(taken(ledger, now).empty());
  CHECK(ledger.waiting_count(Lane::behind) == 1);
  CHECK(ledger.waiting_count(Lane::open) == 0);
  const bool answered = GENERATE(false, true);
  if (answered) ledger.end_of_outage(now, now);
  CHECK(taken(ledger, now, answered ? Lane::open : Lane::behind) == std::vector<std::uint64_t>{0});
}

TEST_CASE("one suspicion makes an item go first, two lead into portions, three to be alone") {
  PartLedger ledger = with(4);
  for (std::uint64_t item = 0; item < 4; ++item) {
    suspect(ledger, item, static_cast<int>(item));
    ledger.wait(part(item), now);
  }
  CHECK(taken(ledger, now) == std::vector<std::uint64_t>{1, 0});
  CHECK(taken(ledger, now, Lane::portions) == std::vector<std::uint64_t>{2});
  CHECK(ledger.alone() == std::set<PartId>{part(3)});
  ledger.end(part(3));
  CHECK(ledger.alone().empty());
}

TEST_CASE("a suspicion of an item that waits takes it to its new lane") {
  PartLedger ledger = with(1);
  suspect(ledger, 0, 1);
  ledger.wait(part(0), now);
  suspect(ledger, 0, 1);
  CHECK(taken(ledger, now).empty());
  suspect(ledger, 0, 1);
  CHECK(taken(ledger, now, Lane::portions).empty());
  CHECK(ledger.alone().contains(part(0)));
  ledger.clear(part(0));
  CHECK(ledger.alone().empty());
  CHECK(taken(ledger, now) == std::vector<std::uint64_t>{0});
}

TEST_CASE("a portion is the square root of the suspects, until all of them are done") {
  PartLedger ledger = with(100);
  for (std::uint64_t item = 0; item < 100; ++item) {
    suspect(ledger, item, 2);
    ledger.wait(part(item), now);
  }
  std::uint64_t done = 0;
  while (done < 100) {
    std::vector<PartId> portion;
    while (ledger.portion_has_room()) {
      const auto due = ledger.due(Lane::portions, now);
      if (!due) break;
      ledger.set_out(*due, CallId{2});
      portion.push_back(*due);
    }
    REQUIRE(portion.size() == 10);
    for (const PartId& one : portion) ledger.end(one);
    done += portion.size();
  }
  ledger.add(part(200), out_part());
  suspect(ledger, 200, 2);
  CHECK_FALSE(ledger.portion_has_room()); // a new one, which is out
}

TEST_CASE("one that follows another is not called: it neither waits nor is out") {
  PartLedger ledger = with(3);
  ledger.set_following(part(0));
  ledger.invariant();
  CHECK(ledger.at(part(0)).follows());
  CHECK_FALSE(ledger.at(part(0)).call());
  CHECK(ledger.following_count() == 1);
  CHECK(ledger.out_count() == 2);
  CHECK(ledger.called_count() == 2);
  CHECK(ledger.live_count() == 3);
  CHECK(ledger.waiting_count() == 0);
  CHECK(ledger.next_due() == never);
  ledger.wait(part(0), now);
  CHECK(ledger.following_count() == 0);
  CHECK(ledger.called_count() == 3);
  CHECK(taken(ledger, now) == std::vector<std::uint64_t>{0});
  ledger.set_following(part(1));
  ledger.end(part(1));
  CHECK(ledger.following_count() == 0);
  CHECK(ledger.called_count() == 2);
  ledger.invariant();
}

TEST_CASE("one that waits for another attempt, and then follows, waits for none") {
  PartLedger ledger = with(1);
  ledger.set_tally(part(0), tried(1));
  ledger.wait(part(0), now);
  CHECK(ledger.retrying_count() == 1);
  ledger.set_following(part(0));
  CHECK(ledger.retrying_count() == 0);
  CHECK(taken(ledger, now + 1h).empty());
}

TEST_CASE("one whose request is made or looked up is out, and with no call") {
  PartLedger ledger = with(2);
  ledger.wait(part(0), now);
  ledger.set_prepared(part(0));
  CHECK(ledger.at(part(0)).is_prepared());
  CHECK_FALSE(ledger.at(part(1)).is_prepared());
  CHECK_FALSE(ledger.at(part(0)).call());
  CHECK(ledger.out_count() == 2);
  CHECK(ledger.waiting_count() == 0);
  ledger.set_out(part(0), CallId{5});
  CHECK_FALSE(ledger.at(part(0)).is_prepared());
}

TEST_CASE("nothing is held against one that follows: it is not called") {
  const int suspicions = GENERATE(1, 2, 3);
  PartLedger ledger = with(2);
  PartTally tally;
  tally.alone_failures = 2;
  ledger.set_tally(part(0), std::move(tally));
  suspect(ledger, 0, suspicions);
  ledger.set_following(part(0));
  ledger.invariant();
  CHECK(ledger.suspects() == 0);
  CHECK(ledger.alone().empty());
  ledger.wait(part(0), now);
  CHECK(ledger.at(part(0)).lane() == Lane::open);
  CHECK(ledger.at(part(0)).tally.alone_failures == 0);
}

TEST_CASE("an item of several parts ends with its line, not with its last part") {
  PartLedger ledger;
  ledger.divide(4, {}, "four", {.parts = 3}).open_more();
  for (std::uint32_t n = 0; n < 3; ++n) ledger.add(part(4, n), out_part());
  CHECK(ledger.place_of(JobId{7}, 4));
  ledger.end(part(4, 1));
  ledger.end(part(4, 0));
  CHECK(ledger.has_ended(part(4, 1)));
  CHECK_FALSE(ledger.has_ended(part(4, 2)));
  CHECK_THROWS_AS(ledger.add(part(4, 1), out_part()), CheckFailed);
  CHECK_THROWS_AS(ledger.end_item(4), CheckFailed);
  ledger.end(part(4, 2));
  CHECK_THROWS_AS(ledger.end_item(4), CheckFailed); // its lines are not durable
  CHECK(ledger.joining_count() == 0);
  ledger.go_on(4, 0);
  CHECK(ledger.joining_count() == 1);
  CHECK(ledger.live_count() == 0);
  CHECK_FALSE(ledger.is_terminal(4));
  ledger.end_item(4);
  CHECK(ledger.is_terminal(4));
  CHECK(ledger.joining_count() == 0);
  ledger.invariant();
}

TEST_CASE("parts that ended in an earlier life are not opened again, and what others went through "
          "is known") {
  RecoveredParts recovered;
  recovered.ended[2] = {{{0, 0}}, {2}};
  recovered.notes = {{part(2, 1), 3, 1, 0, true}};
  PartLedger ledger{{}, std::move(recovered)};
  CHECK(ledger.divide(2, {}, "two", {.parts = 3}).open_more() == std::vector{1u});
  CHECK(ledger.has_ended(part(2, 0)));
  CHECK(ledger.has_ended(part(2, 2)));
  CHECK_FALSE(ledger.has_ended(part(2, 1)));
  const PartTally tally = ledger.take_recovered(part(2, 1));
  CHECK(tally.consumed == 3);
  CHECK(tally.deaths == 1);
  CHECK(ledger.take_recovered(part(2, 1)).consumed == 0);
}

} // namespace part_ledger_test
