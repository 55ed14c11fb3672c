// What is known of the items that are neither unread nor terminal.
#include "actors/supervisor/item_ledger.hpp"

#include "actors/kit/check.hpp"

#include <catch2/catch.hpp>

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
std::vector<std::uint64_t> taken(ItemLedger& ledger, Time at) {
  std::vector<std::uint64_t> items;
  std::uint64_t item = 0;
  while (ledger.take_due(at, item) != nullptr) items.push_back(item);
  return items;
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
