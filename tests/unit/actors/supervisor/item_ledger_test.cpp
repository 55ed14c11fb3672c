// What is known of the items that are neither unread nor terminal.
#include "actors/supervisor/item_ledger.hpp"

#include "actors/kit/check.hpp"

#include <catch2/catch.hpp>

namespace item_ledger_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;

LiveItem out_item() {
  LiveItem live;
  live.state = LiveState::out;
  return live;
}

// The items that are due, in the order in which they are taken.
std::vector<std::uint64_t> taken(ItemLedger& ledger, Time at, Lane lane = Lane::open) {
  std::vector<std::uint64_t> items;
  std::uint64_t item = 0;
  while (ledger.take_due(lane, at, item) != nullptr) items.push_back(item);
  return items;
}

// Items 0 to `count`, all out.
ItemLedger with(std::uint64_t count) {
  ItemLedger ledger;
  for (std::uint64_t item = 0; item < count; ++item) ledger.add(item, out_item());
  return ledger;
}

void suspect(ItemLedger& ledger, std::uint64_t item, int times) {
  for (int n = 0; n < times; ++n) ledger.suspect(item, *ledger.find(item), Time{});
}

} // namespace

TEST_CASE("an item is live until it is terminal, and terminal once") {
  ItemLedger ledger;
  ledger.add(0, out_item());
  CHECK(ledger.find(0) != nullptr);
  CHECK(ledger.live_count() == 1);
  CHECK(ledger.make_terminal(0));
  CHECK(ledger.find(0) == nullptr);
  CHECK(ledger.is_terminal(0));
  CHECK(ledger.low() == 1);
  CHECK_FALSE(ledger.make_terminal(0));
  CHECK_THROWS_AS(ledger.add(0, out_item()), CheckFailed);
}

TEST_CASE("an item cannot be live twice, nor begin as one that waits") {
  ItemLedger ledger;
  ledger.add(3, out_item());
  CHECK_THROWS_AS(ledger.add(3, out_item()), CheckFailed);
  CHECK_THROWS_AS(ledger.add(4, LiveItem{}), CheckFailed);
}

TEST_CASE("waiting items are taken when they are due, the earliest first") {
  ItemLedger ledger;
  for (std::uint64_t item = 0; item < 4; ++item) ledger.add(item, out_item());
  CHECK(ledger.next_due() == never);
  ledger.wait(2, *ledger.find(2), now + 1s);
  ledger.wait(1, *ledger.find(1), now + 2s);
  ledger.wait(0, *ledger.find(0), now + 1s);
  CHECK(ledger.waiting_count() == 3);
  CHECK(ledger.next_due() == now + 1s);
  CHECK(taken(ledger, now + 1s - 1ns).empty());
  CHECK(taken(ledger, now + 1s) == std::vector<std::uint64_t>{0, 2});
  CHECK(ledger.find(0)->state == LiveState::out);
  CHECK(ledger.waiting_count() == 1);
  CHECK(ledger.next_due() == now + 2s);
}

TEST_CASE("an item that waits anew counts once and is taken at its new time") {
  ItemLedger ledger;
  ledger.add(0, out_item());
  ledger.wait(0, *ledger.find(0), now + 1s);
  ledger.wait(0, *ledger.find(0), now + 3s);
  CHECK(ledger.waiting_count() == 1);
  CHECK(ledger.next_due() == now + 3s);
  CHECK(taken(ledger, now + 2s).empty());
  CHECK(taken(ledger, now + 3s) == std::vector<std::uint64_t>{0});
  CHECK(ledger.waiting_count() == 0);
}

TEST_CASE("a waiting item that becomes terminal waits no more") {
  ItemLedger ledger;
  ledger.add(0, out_item());
  ledger.wait(0, *ledger.find(0), now);
  ledger.make_terminal(0);
  CHECK(ledger.waiting_count() == 0);
  CHECK(ledger.next_due() == never);
  CHECK(taken(ledger, now + 1h).empty());
}

TEST_CASE("only what has been tried before is being retried; what came back unsent just waits") {
  ItemLedger ledger;
  for (std::uint64_t item = 0; item < 3; ++item) ledger.add(item, out_item());
  ledger.wait(0, *ledger.find(0), now);
  ledger.find(1)->tries = 1;
  ledger.wait(1, *ledger.find(1), now + 1s);
  ledger.find(2)->deaths = 1;
  ledger.wait(2, *ledger.find(2), now + 1s);
  CHECK(ledger.waiting_count() == 3);
  CHECK(ledger.retrying_count() == 2);
  ledger.find(0)->tries = 1;
  ledger.wait(0, *ledger.find(0), now + 2s); // moved, and counted once
  CHECK(ledger.waiting_count() == 3);
  CHECK(ledger.retrying_count() == 3);
  ledger.find(1)->tries = 2;
  CHECK(ledger.make_terminal(1));
  CHECK(taken(ledger, now + 2s) == std::vector<std::uint64_t>{2, 0});
  CHECK(ledger.waiting_count() == 0);
  CHECK(ledger.retrying_count() == 0);
}

TEST_CASE("an item of an endpoint's fault waits behind until a call that began since is answered") {
  ItemLedger ledger = with(2);
  for (std::uint64_t item = 0; item < 2; ++item) {
    ledger.fall_behind(item, *ledger.find(item), now);
    ledger.wait(item, *ledger.find(item), now);
  }
  CHECK(taken(ledger, now).empty());
  std::uint64_t first = 0;
  CHECK(ledger.take_due(Lane::behind, now, first) != nullptr);
  ledger.end_of_outage(now - 1ns, now + 1s);
  CHECK(taken(ledger, now).empty());
  ledger.end_of_outage(now, now + 1s);
  CHECK(taken(ledger, now) == std::vector<std::uint64_t>{1 - first});
  CHECK(taken(ledger, now, Lane::behind).empty());
}

TEST_CASE("an item that waits already falls behind all the same, and comes back") {
  ItemLedger ledger = with(1);
  ledger.wait(0, *ledger.find(0), now);
  ledger.fall_behind(0, *ledger.find(0), now); // of a call that had been given up
  CHECK(taken(ledger, now).empty());
  CHECK(ledger.waiting_count(Lane::behind) == 1);
  CHECK(ledger.waiting_count(Lane::open) == 0);
  const bool answered = GENERATE(false, true);
  if (answered) ledger.end_of_outage(now, now);
  CHECK(taken(ledger, now, answered ? Lane::open : Lane::behind) == std::vector<std::uint64_t>{0});
}

TEST_CASE("one suspicion makes an item go first, two lead into portions, three to be alone") {
  ItemLedger ledger = with(4);
  for (std::uint64_t item = 0; item < 4; ++item) {
    suspect(ledger, item, static_cast<int>(item));
    ledger.wait(item, *ledger.find(item), now);
  }
  CHECK(taken(ledger, now) == std::vector<std::uint64_t>{1, 0});
  CHECK(taken(ledger, now, Lane::portions) == std::vector<std::uint64_t>{2});
  CHECK(ledger.alone() == std::set<std::uint64_t>{3});
  ledger.make_terminal(3);
  CHECK(ledger.alone().empty());
}

TEST_CASE("a suspicion of an item that waits takes it to its new lane") {
  ItemLedger ledger = with(1);
  suspect(ledger, 0, 1);
  ledger.wait(0, *ledger.find(0), now);
  suspect(ledger, 0, 1);
  CHECK(taken(ledger, now).empty());
  suspect(ledger, 0, 1);
  CHECK(taken(ledger, now, Lane::portions).empty());
  CHECK(ledger.alone().contains(0));
  ledger.clear(0, *ledger.find(0));
  CHECK(ledger.alone().empty());
  CHECK(taken(ledger, now) == std::vector<std::uint64_t>{0});
}

TEST_CASE("a portion is the square root of the suspects, until all of them are done") {
  ItemLedger ledger = with(100);
  for (std::uint64_t item = 0; item < 100; ++item) {
    suspect(ledger, item, 2);
    ledger.wait(item, *ledger.find(item), now);
  }
  std::uint64_t done = 0;
  while (done < 100) {
    std::vector<std::uint64_t> portion(1);
    while (ledger.portion_has_room() &&
           ledger.take_due(Lane::portions, now, portion.back()) != nullptr)
      portion.push_back(0);
    portion.pop_back();
    REQUIRE(portion.size() == 10);
    for (const std::uint64_t item : portion) ledger.make_terminal(item);
    done += portion.size();
  }
  ledger.add(200, out_item());
  suspect(ledger, 200, 2);
  CHECK_FALSE(ledger.portion_has_room()); // a new one, which is out
}

} // namespace item_ledger_test
