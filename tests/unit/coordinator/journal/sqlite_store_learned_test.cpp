// What the journal keeps of what a job's calls have taught.
#include "coordinator/journal/sqlite.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace sqlite_store_learned_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

std::map<std::string, std::string> learned_of(const journal::RecoveredJob& job) {
  std::map<std::string, std::string> learned;
  for (const auto& note : job.learned) {
    CHECK(note.job == job.job);
    learned[note.model] = note.tokens;
  }
  return learned;
}

} // namespace

TEST_CASE("the last of what a job has learned of each model comes back", "[tokens]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    journal::Group first;
    first.jobs = {new_job(1, "1"), new_job(2, "2")};
    first.learned = {{JobId{1}, "a", "1 old"}, {JobId{1}, "b", "1 other"}};
    journal.commit_next(first);
    journal::Group second;
    second.learned = {{JobId{1}, "a", "1 new"}};
    journal.commit_next(second);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  const std::map<std::string, std::string> expected{{"a", "1 new"}, {"b", "1 other"}};
  CHECK(learned_of(journal.job(1)) == expected);
  CHECK(journal.job(2).learned.empty());
  journal.store->read_job(JobId{1});
  CHECK(learned_of(*journal.heard.content.get_future().get()) == expected);
}

TEST_CASE("what a forgotten job has learned is forgotten", "[tokens]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    journal::Group first;
    first.jobs = {new_job(1, "1")};
    first.learned = {{JobId{1}, "a", "1"}};
    journal.commit_next(first);
    journal::Group second;
    second.forgotten = {JobId{1}};
    journal.commit_next(second);
    journal::Group late; // of a limiter that had not heard of it
    late.learned = {{JobId{1}, "a", "2"}};
    journal.commit_next(late);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.recovered.jobs.empty());
  journal.store.reset();
  auto database = coordinator::Database::open(temp / "state/journal.db");
  REQUIRE(database.has_value());
  CHECK(database->integer("SELECT count(*) FROM learned") == 0);
}

} // namespace sqlite_store_learned_test
