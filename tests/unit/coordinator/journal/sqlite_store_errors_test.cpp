// What the journal keeps of the errors that a job's calls have met, and of how many calls an open
// session could have in flight.
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace sqlite_store_errors_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

CountedError error_of(std::string code, std::uint64_t count, std::uint64_t final,
                      std::string sample) {
  return {OutcomeClass::rate, std::move(code), 429,          count,        final,
          std::move(sample),  "item-1",        "in.jsonl:1", 1'790'000'000};
}

} // namespace

TEST_CASE("the last note of each cause comes back, with its sample", "[errors]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    journal::Group first;
    first.jobs = {new_job(1, "1"), new_job(2, "2")};
    first.errors = {{JobId{1}, error_of("a", 5, 0, "old")}, {JobId{1}, error_of("b", 3, 1, "b")}};
    journal.commit_next(first);
    journal::Group second;
    second.errors = {{JobId{1}, error_of("a", 9, 2, "new \"words\"")}};
    journal.commit_next(second);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.job(2).errors.empty());
  journal.store->read_job(JobId{1});
  const journal::RecoveredJob read = *journal.heard.content.get_future().get();
  for (const journal::RecoveredJob& job : {journal.job(1), read}) {
    REQUIRE(job.errors.size() == 2);
    const CountedError& a = job.errors[0];
    CHECK(a.cls == OutcomeClass::rate);
    CHECK(a.code == "a");
    CHECK(a.http_status == 429);
    CHECK(a.count == 9);
    CHECK(a.final == 2);
    CHECK(a.sample == "new \"words\"");
    CHECK(a.item == "item-1");
    CHECK(a.source == "in.jsonl:1");
    CHECK(a.at == 1'790'000'000);
    CHECK(job.errors[1].count == 3);
  }
}

TEST_CASE("what a forgotten job has met is forgotten", "[errors]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    journal::Group first;
    first.jobs = {new_job(1, "1")};
    first.errors = {{JobId{1}, error_of("a", 5, 0, "old")}};
    journal.commit_next(first);
    journal::Group second;
    second.forgotten = {JobId{1}};
    journal.commit_next(second);
    journal::Group late; // of a supervisor that had not heard of it
    late.errors = {{JobId{1}, error_of("a", 6, 0, "old")}};
    journal.commit_next(late);
  }
  auto database = coordinator::Database::open(temp / "state/journal.db");
  REQUIRE(database);
  CHECK(*database->integer("SELECT count(*) FROM errors") == 0);
}

TEST_CASE("an open session is known with the calls that it could have in flight", "[errors]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    journal::Group first;
    first.sessions = {{SessionId{11}, "w1", Nonce{1}, true, 256},
                      {SessionId{12}, "w2", Nonce{2}, true, 8}};
    journal.commit_next(first);
    journal::Group second;
    second.sessions = {{SessionId{12}, "w2", Nonce{2}, false}};
    journal.commit_next(second);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  REQUIRE(journal.recovered.sessions.size() == 1);
  CHECK(journal.recovered.sessions.front().calls == 256);
}

} // namespace sqlite_store_errors_test
