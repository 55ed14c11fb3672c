#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"
#include "tests/unit/coordinator/journal/store_faults.hpp"

namespace sqlite_store_faults_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

Group first_group() {
  Group group = group_of(1, {line(1, 0)});
  group.jobs = {new_job(1, "")};
  return group;
}

} // namespace

TEST_CASE("what the journal does not know is cut from a segment, and an unknown segment removed") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group()));
  }
  append_to(temp / "state/results-000001.jsonl", "{\"job\":1,\"item\":1}\n{\"job\":1,\"it");
  append_to(temp / "state/results-000002.jsonl", "{\"job\":1,\"item\":1}\n");
  append_to(temp / "state/results-000001.jsonl.bak", "a user's own");
  append_to(temp / "state/results-1.jsonl", "a user's own");
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(content_of(temp / "state/results-000001.jsonl") == "{\"job\":1,\"item\":0}\n");
  CHECK_FALSE(std::filesystem::exists(temp / "state/results-000002.jsonl"));
  CHECK(std::filesystem::exists(temp / "state/results-000001.jsonl.bak"));
  CHECK(std::filesystem::exists(temp / "state/results-1.jsonl"));
  REQUIRE(journal.commit(group_of(2, {line(1, 1)})));
  CHECK(results_of(*journal.store, 1) == "{\"job\":1,\"item\":0}\n{\"job\":1,\"item\":1}\n");
}

TEST_CASE("a segment that is shorter than the journal knows, or missing, is refused") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group()));
  }
  const std::string path = temp / "state/results-000001.jsonl";
  std::filesystem::resize_file(path, 18);
  const Opened shorter{temp / "state"};
  REQUIRE_FALSE(shorter.store);
  CHECK(shorter.error.code == ErrorCode::io);
  CHECK_THAT(shorter.error.message, Catch::Contains("has 18 bytes, the journal knows 19"));
  std::filesystem::remove(path);
  const Opened missing{temp / "state"};
  CHECK_THAT(missing.error.message, Catch::Contains("has 0 bytes, the journal knows 19"));
}

TEST_CASE("a journal whose rows contradict each other is refused, with the row") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group()));
    REQUIRE(journal.commit(group_of(2, {line(1, 1)})));
  }
  const std::string original = content_of(temp / "state/journal.db");
  const std::vector<std::pair<std::string, std::string>> cases{
      {"UPDATE commits SET items = x'50' WHERE position = 2", "line length"},
      {"UPDATE commits SET items = x'0014' WHERE position = 2",
       "commit 2 of job 1: item 0 has two"},
      {"UPDATE commits SET completed = 2 WHERE position = 1",
       "commit 1 of job 1: expected 0 reopened items, 2"},
      {"UPDATE commits SET from_offset = 18, to_offset = 37 WHERE position = 2",
       "begin at byte 19"},
      {"UPDATE commits SET low_item = 9 WHERE position = 2", "item 2 has no result"},
      {"UPDATE commits SET position = 3 WHERE position = 2", "after the last position"},
      {"UPDATE jobs SET state = 'asleep'", "'asleep'"},
      {"DELETE FROM jobs", "no such job"},
      {"DROP TABLE sessions", "no such table"},
  };
  for (const auto& [sql, words] : cases) check_refused_after(temp, original, sql, words);
}

TEST_CASE("a full disk under the lines takes the group back, and it may come again") {
  const TempDirectory temp;
  bool full = false;
  auto options = Opened::options_for(temp / "state");
  options.disk_calls.pwrite = [&](int fd, const void* data, std::size_t size, off_t offset) {
    if (full && size > 10) return ::pwrite(fd, data, 10, offset); // what still fits, then nothing
    errno = ENOSPC;
    return full ? -1 : ::pwrite(fd, data, size, offset);
  };
  {
    Opened journal{options};
    REQUIRE(journal.commit(first_group()));
    const Group group = group_of(2, {line(1, 1), line(1, 2)});
    full = true;
    for (int again = 0; again < 3; ++again) {
      const auto refused = journal.commit(group);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == ErrorCode::disk_full);
      CHECK(std::filesystem::file_size(temp / "state/results-000001.jsonl") == 19);
    }
    full = false;
    REQUIRE(journal.commit(group));
  }
  const Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(results_of(*journal.store, 1) ==
        line(1, 0).line + "\n" + line(1, 1).line + "\n" + line(1, 2).line + "\n");
  CHECK(journal.job(1).counts.completed == 3);
}

TEST_CASE("a full disk under the rows takes the lines back too, and the group may come again") {
  // A large specification overflows SQLite's cache before the commit, a small one waits for it.
  const std::size_t spec_bytes = GENERATE(2u, 8u << 20);
  const TempDirectory temp;
  const DatabaseDisk disk;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group()));
    Group group = group_of(2, {line(1, 1), line(2, 0)});
    group.jobs = {new_job(2, "jobs/2")};
    group.jobs[0].spec.resize(spec_bytes, ' ');
    database_disk_full = true;
    for (int again = 0; again < 3; ++again) {
      const auto refused = journal.commit(group);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == ErrorCode::disk_full);
      CHECK(std::filesystem::file_size(temp / "state/results-000001.jsonl") == 19);
      CHECK(journal.store->lines_of(JobId{2}, LineKind::results).value()->segments().empty());
    }
    database_disk_full = false;
    REQUIRE(journal.commit(group));
  }
  const Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.recovered.last_position == 2);
  CHECK(results_of(*journal.store, 1) == line(1, 0).line + "\n" + line(1, 1).line + "\n");
  CHECK(results_of(*journal.store, 2) == line(2, 0).line + "\n");
}

TEST_CASE("after a failed sync the store refuses everything, and the next start has the truth") {
  const TempDirectory temp;
  bool broken = false;
  int syncs = 0;
  auto options = Opened::options_for(temp / "state");
  options.disk_calls.fdatasync = [&](int fd) {
    ++syncs;
    errno = EIO;
    return broken ? -1 : ::fdatasync(fd);
  };
  {
    Opened journal{options};
    REQUIRE(journal.commit(first_group()));
    broken = true;
    CHECK(journal.commit(group_of(2, {line(1, 1)})).error().code == ErrorCode::io);
    broken = false;
    CHECK(journal.commit(group_of(2, {line(1, 1)})).error().code == ErrorCode::io);
    CHECK(journal.commit(group_of(3, {})).error().code == ErrorCode::io);
    CHECK(syncs == 2);
  }
  const Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.recovered.last_position == 1);
  CHECK(content_of(temp / "state/results-000001.jsonl") == line(1, 0).line + "\n");
}

TEST_CASE("a group that names an unknown job is the caller's error and the end of the store") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.commit(group_of(1, {line(9, 0)})).error().code == ErrorCode::internal);
  CHECK(journal.commit(group_of(2, {})).error().code == ErrorCode::internal);
}

} // namespace sqlite_store_faults_test
