// What `gristmill journal` finds in the state directory of a coordinator that is down.
#include "coordinator/journal/check.hpp"

#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/result.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace journal_check_test {

using namespace gristmill;
using namespace gristmill::store_test;
using coordinator::JournalCheck;
using coordinator::JournalFindings;

namespace {

ResultLine sealed(std::uint64_t item) {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::ok;
  outcome.http_status = 200;
  outcome.body = "{}";
  openai::Provenance about;
  about.item = item;
  return {JobId{1}, item, OutcomeClass::ok,
          openai::result_line(JobId{1}, "i" + std::to_string(item), outcome, about)};
}

// Three commits with five lines, closed.
void write_journal(const std::string& directory) {
  Opened journal{directory};
  REQUIRE(journal.store);
  Group first = group_of(1, {sealed(0), sealed(2)});
  first.jobs = {new_job(1, "jobs/1")};
  REQUIRE(journal.commit(std::move(first)));
  REQUIRE(journal.commit(group_of(2, {sealed(1)})));
  REQUIRE(journal.commit(group_of(3, {sealed(3), sealed(4)})));
}

JournalFindings verified(const std::string& directory) {
  auto journal = JournalCheck::open(directory);
  REQUIRE(journal);
  auto found = journal->verify();
  REQUIRE(found);
  return std::move(*found);
}

void overwrite(const std::string& path, std::uint64_t at, std::string_view bytes) {
  std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(static_cast<std::streamoff>(at));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void execute(const std::string& path, const std::string& sql) {
  auto database = coordinator::Database::open(path);
  REQUIRE(database);
  REQUIRE(database->execute(sql));
}

} // namespace

TEST_CASE("a whole journal is found whole, with all that is in it, and is left as it was") {
  const TempDirectory temp;
  const std::string state = temp / "state";
  write_journal(state);
  const std::string before = content_of(state + "/journal.db");
  const JournalFindings found = verified(state);
  CHECK(found.faults.empty());
  CHECK(found.notes.empty());
  CHECK(found.commits == 3);
  CHECK(found.lines == 5);
  CHECK(found.line_bytes == content_of(state + "/jobs/1/results-000001.jsonl").size());
  CHECK(content_of(state + "/journal.db") == before);

  auto journal = JournalCheck::open(state);
  REQUIRE(journal);
  const auto recovered = journal->recovered();
  REQUIRE(recovered);
  CHECK(recovered->jobs.at(0).counts.completed == 5);
  std::vector<std::uint64_t> completed;
  REQUIRE(journal->commits([&](const coordinator::CommitView& commit) {
    completed.push_back(commit.completed);
    return completed.size() < 2;
  }));
  CHECK(completed == std::vector<std::uint64_t>{2, 1});
}

TEST_CASE("what a crash leaves in the log and behind the last promise is no damage") {
  const TempDirectory temp;
  const std::string state = temp / "state", copy = temp / "copy";
  {
    Opened journal{state};
    Group first = group_of(1, {sealed(0)});
    first.jobs = {new_job(1, "jobs/1")};
    REQUIRE(journal.commit(std::move(first)));
    std::filesystem::copy(state, copy, std::filesystem::copy_options::recursive);
  }
  append_to(copy + "/jobs/1/results-000001.jsonl", "torn");
  const JournalFindings found = verified(copy);
  CHECK(found.faults.empty());
  CHECK(found.lines == 1);
  REQUIRE(found.notes.size() == 1);
  CHECK_THAT(found.notes[0], Catch::Contains("4 bytes were never promised"));
}

TEST_CASE("a changed, a swapped and a lost line are each found, by their commit") {
  const TempDirectory temp;
  const std::string state = temp / "state", segment = state + "/jobs/1/results-000001.jsonl";
  write_journal(state);
  const std::string lines = content_of(segment);
  const std::size_t line = sealed(0).line.size() + 1;
  SECTION("changed") {
    overwrite(segment, 2 * line + 5, "X");
    const JournalFindings found = verified(state);
    REQUIRE(found.faults.size() == 1);
    CHECK_THAT(found.faults[0], Catch::Contains("(commit 2)") && Catch::Contains("damaged"));
  }
  SECTION("swapped") {
    overwrite(segment, 0, lines.substr(line, line) + lines.substr(0, line));
    const JournalFindings found = verified(state);
    REQUIRE(found.faults.size() == 2);
    CHECK_THAT(found.faults[0], Catch::Contains("expected the line of item 0, got that of item 2"));
  }
  SECTION("the last byte lost") {
    std::filesystem::resize_file(segment, lines.size() - 1);
    const JournalFindings found = verified(state);
    REQUIRE(found.faults.size() == 1);
    CHECK_THAT(found.faults[0], Catch::Contains("commit 3 promised"));
    CHECK(found.lines == 3);
  }
  SECTION("the segment lost") {
    std::filesystem::remove(segment);
    CHECK(verified(state).faults.size() == 3);
  }
  SECTION("one newline too few") {
    overwrite(segment, line - 1, " ");
    CHECK_THAT(verified(state).faults.at(0), Catch::Contains("newline"));
  }
}

TEST_CASE("damaged pages and rows that contradict each other are found") {
  const TempDirectory temp;
  const std::string state = temp / "state", database = state + "/journal.db";
  write_journal(state);
  SECTION("a page") {
    const auto bytes = std::filesystem::file_size(database);
    overwrite(database, bytes - 4'096, std::string(4'096, '\x5a'));
    CHECK_FALSE(verified(state).faults.empty());
  }
  SECTION("counts that are not those of the items") {
    execute(database, "UPDATE commits SET completed = completed + 1 WHERE position = 2");
    CHECK_THAT(verified(state).faults.at(0), Catch::Contains("contradicts itself"));
  }
  SECTION("an epoch that goes back") {
    execute(database, "UPDATE commits SET epoch = 9 WHERE position = 1");
    CHECK_THAT(verified(state).faults.at(0), Catch::Contains("expected epoch 9 or later, got 1"));
  }
}

TEST_CASE("a directory without a journal, or with a living owner, is not looked into") {
  const TempDirectory temp;
  const auto nothing = JournalCheck::open(temp / "nothing");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().code == ErrorCode::not_found);
  CHECK_FALSE(std::filesystem::exists(temp / "nothing"));
  const Opened living{temp / "state"};
  const auto busy = JournalCheck::open(temp / "state");
  REQUIRE_FALSE(busy);
  CHECK(busy.error().code == ErrorCode::conflict);
}

} // namespace journal_check_test
