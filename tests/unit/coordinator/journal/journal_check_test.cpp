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

PartLine part(std::uint64_t item, std::uint32_t part, OutcomeClass cls = OutcomeClass::ok) {
  return part_line({JobId{1}, item, part}, cls);
}

Group of_parts(Position upto, std::vector<PartLine> parts) {
  Group group;
  group.upto = upto;
  group.parts = std::move(parts);
  return group;
}

// Items 0 and 1 of two parts each and item 2 of one, in four commits, closed; the part lines.
std::vector<PartLine> write_parts(const std::string& directory) {
  const std::vector<PartLine> parts{part(0, 0), part(0, 1), part(1, 0), part(1, 1)};
  Opened journal{directory};
  REQUIRE(journal.store);
  Group first = of_parts(1, {parts[0], parts[1], parts[2]});
  first.jobs = {new_job(1, "jobs/1")};
  first.lines = {sealed(2)};
  REQUIRE(journal.commit(std::move(first)));
  REQUIRE(journal.commit(group_of(2, {joined_of(0, {parts[0], parts[1]})})));
  REQUIRE(journal.commit(of_parts(3, {parts[3]})));
  REQUIRE(journal.commit(group_of(4, {joined_of(1, {parts[2], parts[3]}), sealed(3)})));
  return parts;
}

std::string sealed_failure(std::uint64_t item) {
  protocol::Reply reply;
  reply.cls = OutcomeClass::bad_line;
  reply.code = "invalid_line";
  openai::Provenance about;
  about.item = item;
  return openai::result_line(JobId{1}, "x", reply, about);
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
    const auto page = coordinator::Database::open(database)->integer(
        "SELECT rootpage FROM sqlite_master WHERE name = 'commits'");
    overwrite(database, (static_cast<std::uint64_t>(page.value()) - 1) * 4'096,
              std::string(4'096, '\x5a'));
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

TEST_CASE("part lines are looked at like result lines, each in its own file") {
  const TempDirectory temp;
  const std::string state = temp / "state", segment = state + "/jobs/1/parts-000001.jsonl";
  const std::vector<PartLine> parts = write_parts(state);
  const std::size_t line = parts[0].line.size() + 1;
  const std::string lines = content_of(segment);
  SECTION("whole") {
    const JournalFindings found = verified(state);
    CHECK(found.faults.empty());
    CHECK(found.notes.empty());
    CHECK(found.commits == 4);
    CHECK(found.lines == 8);
    CHECK(found.line_bytes ==
          lines.size() + content_of(state + "/jobs/1/results-000001.jsonl").size());
  }
  SECTION("a flipped bit") {
    for (const std::size_t at : {line + 7, 2 * line - 6}) { // in the line, in its checksum
      overwrite(segment, at, std::string(1, static_cast<char>(lines[at] ^ 1)));
      const JournalFindings found = verified(state);
      REQUIRE(found.faults.size() == 1);
      CHECK_THAT(found.faults[0], Catch::Contains(segment) && Catch::Contains("(commit 1)") &&
                                      Catch::Contains("damaged"));
      overwrite(segment, 0, lines);
    }
  }
  SECTION("two parts of an item swapped") {
    overwrite(segment, 0, lines.substr(line, line) + lines.substr(0, line));
    const JournalFindings found = verified(state);
    REQUIRE(found.faults.size() == 3); // … and their texts are joined in another order
    CHECK_THAT(found.faults[0],
               Catch::Contains("expected the line of part 0 of item 0, got another"));
  }
  SECTION("the same part of two items swapped") {
    overwrite(segment, 0, lines.substr(2 * line, line));
    overwrite(segment, 2 * line, lines.substr(0, line));
    CHECK_THAT(verified(state).faults.at(0),
               Catch::Contains("expected the line of item 0, got that of item 1"));
  }
  SECTION("a result line in its place") {
    const std::string result = sealed(0).line;
    overwrite(segment, 0, result + std::string(line - result.size() - 1, ' '));
    CHECK_FALSE(verified(state).faults.empty());
  }
  SECTION("the last byte lost") {
    std::filesystem::resize_file(segment, lines.size() - 1);
    CHECK_THAT(verified(state).faults.at(0), Catch::Contains("commit 3 promised"));
  }
  SECTION("the segment lost") {
    std::filesystem::remove(segment);
    CHECK(verified(state).faults.size() == 2);
  }
  SECTION("a tail that nobody promised") {
    append_to(segment, "torn");
    const JournalFindings found = verified(state);
    CHECK(found.faults.empty());
    REQUIRE(found.notes.size() == 1);
    CHECK_THAT(found.notes[0],
               Catch::Contains(segment) && Catch::Contains("4 bytes were never promised"));
  }
}

TEST_CASE("a part that ended twice is found, and one that ended again after a retry is none") {
  const TempDirectory temp;
  const std::string state = temp / "state";
  const PartLine failed = part(5, 0, OutcomeClass::too_long);
  {
    Opened journal{state};
    Group first = of_parts(1, {failed});
    first.jobs = {new_job(1, "jobs/1")};
    REQUIRE(journal.commit(std::move(first)));
    REQUIRE(journal.commit(group_of(2, {joined_of(5, {failed})})));
    Group again = of_parts(3, {});
    again.reopened = {{JobId{1}, 5}};
    REQUIRE(journal.commit(std::move(again)));
    REQUIRE(journal.commit(of_parts(4, {part(5, 0)})));
    REQUIRE(journal.commit(group_of(5, {joined_of(5, {part(5, 0)})})));
  }
  CHECK(verified(state).faults.empty());
  execute(state + "/journal.db", "UPDATE commits SET reopened = 0, items = x'' WHERE position = 3; "
                                 "UPDATE commits SET failed = 0, segment = 0, from_offset = 0, "
                                 "to_offset = 0, items = x'' WHERE position = 2");
  CHECK_THAT(verified(state).faults.at(0),
             Catch::Contains("commit 4 of job 1: part 0 of item 5 has two lines"));
}

TEST_CASE("an item's line is the join of its parts' lines, all of which have ended before") {
  const TempDirectory temp;
  const std::string state = temp / "state";
  const auto write = [&](const std::vector<PartLine>& parts, ResultLine line) {
    Opened journal{state};
    Group first = of_parts(1, parts);
    first.jobs = {new_job(1, "jobs/1")};
    REQUIRE(journal.commit(std::move(first)));
    REQUIRE(journal.commit(group_of(2, {std::move(line)})));
  };
  const PartLine failed = part(0, 1, OutcomeClass::too_long);
  SECTION("a part of it was answered only later") {
    write({part(0, 0)}, joined_of(0, {part(0, 0), part(0, 1)}));
    CHECK_THAT(verified(state).faults.at(0),
               Catch::Contains("(commit 2)") &&
                   Catch::Contains("expected the response of its last part, got another one"));
  }
  SECTION("a part between others has no line") {
    write({part(0, 0), part(0, 2)}, joined_of(0, {part(0, 0), part(0, 2)}));
    CHECK_THAT(verified(state).faults.at(0),
               Catch::Contains("item 0 was answered, but its part 1 has no line"));
  }
  SECTION("joined in another order") {
    write({part(0, 0), part(0, 1)}, joined_of(0, {part(0, 1), part(0, 0)}));
    CHECK_THAT(verified(state).faults.at(0),
               Catch::Contains("expected the texts of its 2 parts joined"));
  }
  SECTION("an answer, though a part has failed") {
    write({part(0, 0), failed}, joined_of(0, {part(0, 0), part(0, 1)}));
    CHECK_THAT(verified(state).faults.at(0),
               Catch::Contains("item 0 was answered, but its part 1 has failed"));
  }
  SECTION("a failure, though none has") {
    write({part(0, 0), part(0, 1)}, joined_of(0, {part(0, 0), failed}));
    CHECK_THAT(verified(state).faults.at(0),
               Catch::Contains("expected an answer, as all 2 parts have, got a failed part"));
  }
  SECTION("a failure of the item's own, of which no part was asked") {
    write({part(0, 0)}, {JobId{1}, 0, OutcomeClass::bad_line, sealed_failure(0)});
    CHECK(verified(state).faults.empty());
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
