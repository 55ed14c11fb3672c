// What of a divided item begins when: chunks, levels of steps, the judge; and what an earlier life
// has left.
#include "actors/supervisor/parts/divided_item.hpp"

#include "actors/kit/check.hpp"

#include <catch2/catch.hpp>

namespace divided_item_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using Numbers = std::vector<std::uint32_t>;

namespace {

std::uint32_t number(std::uint32_t model, std::uint32_t level, std::uint32_t index) {
  return PartNumber{model, level, index}.value();
}
struct Item : DividedItem {
  explicit Item(const Division& division, const journal::EndedParts& recovered = {})
      : DividedItem{{}, "doc", division, recovered} {}
  void end(std::uint32_t part, std::uint32_t size = 0, bool failed = false) {
    const PartNumber ends = PartNumber::of(part);
    branch_of(ends)->end(ends.index, failed, size);
  }
  void end_all(const Numbers& parts, std::uint32_t size = 0) {
    for (const std::uint32_t part : parts) end(part, size);
  }
};
// Chunks whose answers have 10 tokens, of which a step joins so many as 25 hold.
Division reduced(std::uint32_t chunks) {
  return {.parts = chunks, .reduce_tokens = 25};
}

} // namespace

TEST_CASE("each model's parts are its own, and the item is over when all models are") {
  Item item{{.models = 2, .parts = 2}};
  CHECK(item.open_more() ==
        Numbers{number(0, 0, 0), number(0, 0, 1), number(1, 0, 0), number(1, 0, 1)});
  item.end(number(0, 0, 1));
  CHECK(item.has_ended(PartNumber{0, 0, 1}));
  CHECK_FALSE(item.has_ended(PartNumber{1, 0, 1}));
  CHECK_FALSE(item.branch_of({0, 0, 0})->is_level_over());
  item.end(number(0, 0, 0));
  CHECK(item.branch_of({0, 0, 0})->is_level_over());
  item.go_on(0);
  CHECK_FALSE(item.is_over());
  item.end_all({number(1, 0, 0), number(1, 0, 1)});
  CHECK_FALSE(item.is_over()); // not before it is durable
  item.go_on(1);
  CHECK(item.is_over());
  CHECK(item.ended() == 4);
  CHECK(item.open_more().empty());
}

TEST_CASE("answers are reduced level by level until one is left") {
  Item item{reduced(5)};
  item.end_all(item.open_more(), 10);
  item.go_on(0);
  // Two and two, and the one that is left goes with those before it.
  CHECK(item.open_more() == Numbers{number(0, 1, 0), number(0, 1, 1)});
  CHECK(item.branch_of({0, 1, 0})->joins(0) == std::pair{0u, 2u});
  CHECK(item.branch_of({0, 1, 0})->joins(1) == std::pair{2u, 5u});
  item.end_all({number(0, 1, 0), number(0, 1, 1)}, 10);
  item.go_on(0);
  CHECK(item.open_more() == Numbers{number(0, 2, 0)});
  CHECK(item.branch_of({0, 2, 0})->joins(0) == std::pair{0u, 2u});
  CHECK_FALSE(item.is_over());
  item.end(number(0, 2, 0), 10);
  item.go_on(0);
  CHECK(item.is_over());
  CHECK(item.ended() == 8);
}

TEST_CASE("the answer to a document of one chunk is reduced, too") {
  Item item{reduced(1)};
  CHECK(item.open_more() == Numbers{number(0, 0, 0)});
  item.end(number(0, 0, 0), 10);
  item.go_on(0);
  CHECK(item.open_more() == Numbers{number(0, 1, 0)});
  item.end(number(0, 1, 0), 10);
  item.go_on(0);
  CHECK(item.is_over());
}

TEST_CASE("nobody reduces the answers of a model of which one is missing; others go on") {
  Division division = reduced(2);
  division.models = 2;
  division.is_judged = true;
  Item item{division};
  item.open_more();
  item.end(number(0, 0, 0), 0, true);
  item.end(number(0, 0, 1), 10);
  item.go_on(0);
  CHECK(item.open_more().empty());
  item.end_all({number(1, 0, 0), number(1, 0, 1)}, 10);
  item.go_on(1);
  CHECK(item.open_more() == Numbers{number(1, 1, 0)});
  item.end(number(1, 1, 0), 10);
  item.go_on(1);
  CHECK(item.is_over()); // without a judge
}

TEST_CASE("the judge comes when all models are over") {
  Item item{{.models = 2, .is_judged = true}};
  CHECK(item.open_more().size() == 2);
  item.end(number(0, 0, 0));
  item.go_on(0);
  CHECK(item.open_more().empty());
  item.end(number(1, 0, 0));
  item.go_on(1);
  const std::uint32_t judge = PartNumber::judge(2).value();
  CHECK(item.open_more() == Numbers{judge});
  CHECK_FALSE(item.is_over());
  item.end(judge);
  item.go_on(2);
  CHECK(item.is_over());
}

TEST_CASE("another life goes on where the durable parts end") {
  journal::EndedParts ended;
  for (std::uint32_t n = 0; n < 5; ++n) ended.answered[number(0, 0, n)] = 10;
  SECTION("in the chunks") {
    ended.answered.erase(number(0, 0, 3));
    Item item{reduced(5), ended};
    CHECK(item.open_more() == Numbers{number(0, 0, 3)});
    CHECK(item.ended() == 4);
  }
  SECTION("at the first steps, of which none was asked") {
    CHECK(Item{reduced(5), ended}.open_more() == Numbers{number(0, 1, 0), number(0, 1, 1)});
  }
  SECTION("between two steps") {
    ended.answered[number(0, 1, 1)] = 10;
    CHECK(Item{reduced(5), ended}.open_more() == Numbers{number(0, 1, 0)});
  }
  SECTION("at the top") {
    ended.answered[number(0, 1, 0)] = ended.answered[number(0, 1, 1)] = 10;
    CHECK(Item{reduced(5), ended}.open_more() == Numbers{number(0, 2, 0)});
  }
  SECTION("where its line is missing") {
    ended.answered[number(0, 1, 0)] = ended.answered[number(0, 1, 1)] = 10;
    ended.answered[number(0, 2, 0)] = 10;
    Item item{reduced(5), ended};
    CHECK(item.open_more().empty());
    CHECK(item.is_over());
    CHECK(item.ended() == 8);
  }
  SECTION("where one has failed") {
    ended.answered.erase(number(0, 0, 3));
    ended.failed.insert(number(0, 0, 3));
    Item item{reduced(5), ended};
    CHECK(item.open_more().empty());
    CHECK(item.is_over());
  }
  SECTION("at the judge") {
    Item item{{.models = 1, .parts = 5, .is_judged = true}, ended};
    CHECK(item.open_more() == Numbers{PartNumber::judge(1).value()});
    ended.answered[PartNumber::judge(1).value()] = 0;
    CHECK((Item{{.models = 1, .parts = 5, .is_judged = true}, ended}.is_over()));
  }
}

TEST_CASE("so many parts of a model are open at a time") {
  const std::uint32_t most = GENERATE(1u, 2u, 3u);
  Item item{{.parts = 3}};
  CHECK(item.open_more(most).size() == most);
  CHECK(item.open_more(most).empty());
  item.end(number(0, 0, 0));
  CHECK(item.open_more(most).size() == (most < 3 ? 1 : 0));
  CHECK(item.opened().size() == std::min(most, 2u));
}

TEST_CASE("parts that were dropped are missing, and are no longer waited for") {
  Item item{{.parts = 3}};
  item.open_more(1);
  CHECK(item.drop_waiting() == Numbers{number(0, 0, 1)}); // which says so
  CHECK(item.drop_waiting().empty());
  CHECK(item.has_ended({0, 0, 2}));
  CHECK_FALSE(item.has_ended({0, 0, 0}));
  item.end_all({number(0, 0, 0), number(0, 0, 1)});
  item.go_on(0);
  CHECK(item.is_over());
  CHECK(item.branch_of({0, 0, 0})->has_failed());
  CHECK(item.ended() == 2); // that have lines
}

TEST_CASE("a part is opened once and ends once, and a level goes on when all have") {
  Item item{{.parts = 2}};
  item.open_more(1);
  Branch& branch = *item.branch_of({0, 0, 0});
  CHECK_THROWS_AS(branch.open(0), CheckFailed);
  CHECK_THROWS_AS(item.go_on(0), CheckFailed);
  item.end(number(0, 0, 0));
  CHECK_THROWS_AS(item.end(number(0, 0, 0)), CheckFailed);
  branch.open(1); // out of turn
  CHECK(item.open_more().empty());
  item.end(number(0, 0, 1));
  item.go_on(0);
  CHECK_THROWS_AS(item.go_on(0), CheckFailed);
}

} // namespace divided_item_test
