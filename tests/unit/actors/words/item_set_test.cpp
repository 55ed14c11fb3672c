// The set of item numbers against a set of single numbers.
#include "actors/words/item_set.hpp"

#include "actors/kit/random.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

namespace item_set_test {

using namespace gristmill;

namespace {

// A set of single numbers, and the number below which all are in it.
struct Reference {
  std::set<std::uint64_t> items;
  std::uint64_t low = 0;

  bool contains(std::uint64_t item) const { return item < low || items.contains(item); }
  bool insert(std::uint64_t item) {
    if (contains(item)) return false;
    items.insert(item);
    settle();
    return true;
  }
  void raise_low(std::uint64_t to) {
    low = std::max(low, to);
    settle();
  }
  bool erase(std::uint64_t item) {
    if (!contains(item)) return false;
    for (std::uint64_t below = 0; below < low; ++below) items.insert(below);
    items.erase(item);
    low = std::min(low, item);
    return true;
  }
  void settle() {
    while (items.contains(low)) ++low;
  }
};

} // namespace

TEST_CASE("an empty item set has no member") {
  ItemSet set;
  CHECK(set.low() == 0);
  CHECK_FALSE(set.contains(0));
  CHECK_FALSE(set.contains(1'000'000));
}

TEST_CASE("an item enters a set once") {
  ItemSet set;
  const std::uint64_t item = GENERATE(0, 1, 62, 63, 64, 65, 127, 128, 100'000);
  CHECK(set.insert(item));
  CHECK_FALSE(set.insert(item));
  CHECK(set.contains(item));
  CHECK_FALSE(set.contains(item + 1));
  CHECK(set.low() == (item == 0 ? 1 : 0));
}

TEST_CASE("the low end of an item set is the first item that is missing") {
  ItemSet set;
  for (std::uint64_t item = 200; item > 0; --item) set.insert(item);
  CHECK(set.low() == 0);
  set.insert(0);
  CHECK(set.low() == 201);
  CHECK(set.contains(200));
  CHECK_FALSE(set.contains(201));
}

TEST_CASE("raising the low end makes everything below it a member and joins what follows") {
  const std::uint64_t low = GENERATE(1, 63, 64, 65, 128, 1'000);
  CAPTURE(low);
  ItemSet set;
  set.insert(low);
  set.insert(low + 1);
  set.insert(low + 3);
  set.raise_low(low);
  CHECK(set.low() == low + 2);
  CHECK_FALSE(set.contains(low + 2));
  CHECK(set.contains(low + 3));
  set.raise_low(1);
  CHECK(set.low() == low + 2);
}

TEST_CASE("an item set is what a set of single numbers is") {
  const auto seed = GENERATE(range(1u, 21u));
  CAPTURE(seed);
  Random random{seed};
  ItemSet set;
  Reference reference;
  for (int step = 0; step < 2'000; ++step) {
    const std::uint64_t item = reference.low + random.below(random.chance(0.1) ? 700 : 40);
    if (random.chance(0.02)) {
      set.raise_low(item);
      reference.raise_low(item);
    } else if (random.chance(0.1)) {
      const std::uint64_t gone = random.below(reference.low + 100);
      REQUIRE(set.erase(gone) == reference.erase(gone));
    } else {
      REQUIRE(set.insert(item) == reference.insert(item));
    }
    REQUIRE(set.low() == reference.low);
    const std::uint64_t any = random.below(reference.low + 800);
    REQUIRE(set.contains(any) == reference.contains(any));
  }
  std::vector<std::uint64_t> members;
  const auto last =
      std::max(reference.low, reference.items.empty() ? 0 : *reference.items.rbegin());
  for (std::uint64_t item = 0; item < last + 1'000; ++item) {
    REQUIRE(set.contains(item) == reference.contains(item));
    if (reference.contains(item)) members.push_back(item);
  }
  std::vector<std::uint64_t> visited;
  set.for_each([&](std::uint64_t item) { visited.push_back(item); });
  CHECK(visited == members);
}

} // namespace item_set_test
