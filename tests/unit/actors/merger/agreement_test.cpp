// How far two models agree, against a count of all pairs of answers.
#include "actors/merger/agreement.hpp"

#include "actors/kit/random.hpp"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

namespace agreement_test {

using namespace gristmill;
using merger::Agreement;
using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;

namespace {

Agreement of(std::size_t labels, const Pairs& pairs) {
  Agreement agreement{labels};
  for (const auto& [first, second] : pairs) agreement.add(first, second);
  return agreement;
}

// Chance is what the second model's answers, dealt to any items, would agree with the first's: of
// all N * N ways to put an answer of one beside an answer of the other, the share that are equal.
double kappa_by_dealing(const Pairs& pairs) {
  std::size_t equal = 0, dealt = 0;
  for (const auto& mine : pairs) {
    equal += mine.first == mine.second;
    for (const auto& other : pairs) dealt += mine.first == other.second;
  }
  const auto all = static_cast<double>(pairs.size());
  const double share = static_cast<double>(equal) / all,
               chance = static_cast<double>(dealt) / (all * all);
  return (share - chance) / (1 - chance);
}

Pairs repeated(std::size_t times, std::pair<std::size_t, std::size_t> pair) {
  return Pairs(times, pair);
}

Pairs operator+(Pairs a, const Pairs& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

} // namespace

TEST_CASE("kappa of known tables") {
  // Cohen's textbook form: 20 and 15 agree, 5 and 10 do not; 0.7 is agreed, 0.5 by chance.
  const Agreement table = of(2, repeated(20, {0, 0}) + repeated(15, {1, 1}) + repeated(5, {0, 1}) +
                                    repeated(10, {1, 0}));
  CHECK(table.items() == 50);
  CHECK(table.agree() == 35);
  CHECK(*table.share() == Approx(0.7));
  CHECK(*table.kappa() == Approx(0.4));
  CHECK(*of(2, {{0, 0}, {1, 1}}).kappa() == Approx(1));
  CHECK(*of(2, {{0, 1}, {1, 0}}).kappa() == Approx(-1));
  CHECK(*of(2, {{0, 0}, {0, 1}, {1, 0}, {1, 1}}).kappa() == Approx(0).margin(1e-12));
  // One gives all one label, the other does not: chance is as good.
  CHECK(*of(2, {{0, 0}, {0, 1}}).kappa() == Approx(0).margin(1e-12));
}

TEST_CASE("there is no kappa without an item, or where chance would agree on all") {
  CHECK_FALSE(Agreement{2}.share());
  CHECK_FALSE(Agreement{2}.kappa());
  for (const std::size_t items : {1u, 2u, 3u, 1'000u}) {
    const Agreement same = of(3, repeated(items, {1, 1}));
    CHECK(*same.share() == 1);
    CHECK_FALSE(same.kappa());
    CHECK(of(3, repeated(items, {1, 1}) + Pairs{{1, 2}}).kappa());
  }
  // Each gives one label alone, but not the same one: chance never agrees.
  CHECK(*of(2, repeated(7, {0, 1})).kappa() == 0);
}

TEST_CASE("kappa is that of all ways to deal the answers, for any answers") {
  Random random{5};
  for (int round = 0; round < 200; ++round) {
    const std::size_t labels = 2 + random.below(6), items = 2 + random.below(60);
    Pairs pairs{{0, 1}};
    for (std::size_t n = 0; n < items; ++n) {
      const std::size_t first = random.below(labels);
      pairs.emplace_back(first, random.below(3) == 0 ? random.below(labels) : first);
    }
    CAPTURE(round, labels, items);
    CHECK(*of(labels, pairs).kappa() == Approx(kappa_by_dealing(pairs)).margin(1e-9));
  }
}

} // namespace agreement_test
