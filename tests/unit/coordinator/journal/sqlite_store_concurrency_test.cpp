// What the journal keeps of how many calls endpoints take up.
#include "coordinator/journal/sqlite.hpp"
#include "protocol/limits.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace sqlite_store_concurrency_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

journal::Group group_of(std::vector<journal::ConcurrencyNote> notes) {
  journal::Group group;
  group.concurrency = std::move(notes);
  return group;
}

} // namespace

TEST_CASE("the last of what was found of each endpoint comes back, whatever became of the jobs",
          "[start]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    CHECK(journal.recovered.concurrency.empty());
    journal.commit_next(group_of({{"a", 8, false}, {"b", 600, true}}));
    journal.commit_next(group_of({{"a", 9, false}, {"gone", 7, false}}));
    journal.commit_next(group_of({{"gone", 0, false}, {"inputs", 0, false, 32}}));
  }
  for (int life = 0; life < 2; ++life) {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    const auto& found = journal.recovered.concurrency;
    REQUIRE(found.size() == 3);
    CHECK(found[2].account == "inputs"); // of which nothing else is known
    CHECK(found[2].calls == 0);
    CHECK(found[2].inputs == 32);
    CHECK(found[0].account == "b");
    CHECK(found[0].calls == 600);
    CHECK(found[0].rising);
    CHECK(found[1].account == "a");
    CHECK(found[1].calls == 9);
    CHECK_FALSE(found[1].rising);
  }
}

TEST_CASE("at a start all but the newest are forgotten", "[start]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    journal.commit_next(group_of({{"oldest", 1, false}}));
    std::vector<journal::ConcurrencyNote> notes;
    for (std::size_t n = 0; n < limits::found_limits_max; ++n)
      notes.push_back({fmt::format("endpoint {}", n), 1, false});
    journal.commit_next(group_of(std::move(notes)));
  }
  { Opened journal{temp / "state"}; }
  auto database = coordinator::Database::open(temp / "state/journal.db");
  REQUIRE(database.has_value());
  CHECK(database->integer("SELECT count(*) FROM concurrency") ==
        static_cast<std::int64_t>(limits::found_limits_max));
  CHECK(database->integer("SELECT count(*) FROM concurrency WHERE account = 'oldest'") == 0);
}

} // namespace sqlite_store_concurrency_test
