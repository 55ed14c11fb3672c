// Part lines on a real disk: in files of their own, durable with their group or not there, and
// given back by whoever opens the journal next.
#include "protocol/part_number.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"
#include "tests/unit/coordinator/journal/store_faults.hpp"

#include <set>

namespace sqlite_store_parts_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

PartLine answered(std::uint64_t item, std::uint32_t part) {
  return part_line({JobId{1}, item, part});
}
PartLine failed(std::uint64_t item, std::uint32_t part) {
  return part_line({JobId{1}, item, part}, OutcomeClass::too_long);
}

Group of_parts(Position upto, std::vector<PartLine> parts) {
  Group group;
  group.upto = upto;
  group.parts = std::move(parts);
  return group;
}
Group first_group(std::vector<PartLine> parts, std::string directory = "") {
  Group group = of_parts(1, std::move(parts));
  group.jobs = {new_job(1, std::move(directory))};
  return group;
}
Group reopening(Position upto, std::uint64_t item) {
  Group group;
  group.upto = upto;
  group.reopened = {{JobId{1}, item}};
  return group;
}

std::string lines_of(const std::vector<PartLine>& parts) {
  std::string lines;
  for (const PartLine& part : parts) lines += part.line + "\n";
  return lines;
}

std::string parts_of(Opened& journal, std::uint64_t item) {
  const auto parts = journal.store->parts_of(JobId{1}, item);
  REQUIRE(parts);
  for (const PartLine& part : *parts) CHECK(part.part.item == item);
  return lines_of(*parts);
}

std::string value_of(const std::string& directory, const std::string& sql) {
  auto database = coordinator::Database::open(directory + "/journal.db");
  REQUIRE(database);
  auto value = database->value(sql);
  REQUIRE(value);
  return *value;
}

std::size_t files_of_parts(const std::string& directory) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator{directory})
    files += entry.path().filename().string().starts_with("parts");
  return files;
}

using Parts = std::set<std::uint32_t>;
using Answers = std::map<std::uint32_t, std::uint32_t>; // with the sizes of answers

} // namespace

TEST_CASE("parts that are durable, and what others went through, come back after reopening") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    Group group = first_group({answered(0, 2), failed(0, 0), answered(7, 1)});
    group.attempts = {{{JobId{1}, 0, 1}, 2, 1, 0, true},
                      {{JobId{1}, 7, 0}, 3, 0, 5, true},
                      {{JobId{1}, 7, 2}, 1, 0, 0, true},
                      {{JobId{1}, 8, 0}, 4, 0, 0, false}};
    REQUIRE(journal.commit(std::move(group)));
    Group second = of_parts(2, {answered(7, 2)});
    second.attempts = {{{JobId{1}, 7, 2}, 2, 0, 0, true}, {{JobId{1}, 0, 1}, 3, 1, 0, true}};
    REQUIRE(journal.commit(std::move(second)));
    journal.store->read_job(JobId{1});
    const auto read = journal.heard.content.get_future().get();
    REQUIRE(read);
    CHECK(read->parts.at(7).answered == Answers{{1, 0}, {2, 0}});
    CHECK(read->attempts.size() == 3);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  const RecoveredJob& job = journal.job(1);
  CHECK(job.parts.size() == 2);
  CHECK(job.parts.at(0).answered == Answers{{2, 0}});
  CHECK(job.parts.at(0).failed == Parts{0});
  CHECK(job.parts.at(7).answered == Answers{{1, 0}, {2, 0}});
  CHECK(job.parts.at(7).failed.empty());
  CHECK(job.terminal.low() == 0);
  CHECK(job.counts.completed + job.counts.failed == 0);
  REQUIRE(job.attempts.size() == 3);
  CHECK(job.attempts[0].part == PartId{JobId{1}, 0, 1});
  CHECK(job.attempts[0].attempts == 3);
  CHECK(job.attempts[0].deaths == 1);
  CHECK(job.attempts[0].of_several);
  CHECK(job.attempts[1].part == PartId{JobId{1}, 7, 0});
  CHECK(job.attempts[1].tries == 5);
  CHECK(job.attempts[2].part == PartId{JobId{1}, 8, 0});
  CHECK_FALSE(job.attempts[2].of_several);
  CHECK(parts_of(journal, 0) == lines_of({failed(0, 0), answered(0, 2)}));
  CHECK(parts_of(journal, 7) == lines_of({answered(7, 1), answered(7, 2)}));
  CHECK(parts_of(journal, 8).empty());
  CHECK(journal.store->parts_of(JobId{1}, 0)->at(0).cls == OutcomeClass::too_long);
  CHECK(results_of(*journal.store, 1, LineKind::parts) ==
        content_of(temp / "state/parts-000001.jsonl"));
}

TEST_CASE("an answered item's parts are needed no more, and those of a failed one are") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(
        first_group({answered(0, 0), answered(0, 1), answered(1, 0), failed(1, 1)})));
    REQUIRE(journal.commit(group_of(2, {joined_of(0, {answered(0, 0), answered(0, 1)}),
                                        joined_of(1, {answered(1, 0), failed(1, 1)})})));
    CHECK(parts_of(journal, 0).empty());
    CHECK(parts_of(journal, 1) == lines_of({answered(1, 0), failed(1, 1)}));
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.job(1).counts.completed == 1);
  CHECK(journal.job(1).counts.failed == 1);
  CHECK(journal.job(1).parts.size() == 1);
  CHECK(journal.job(1).parts.at(1).failed == Parts{1});
  CHECK(parts_of(journal, 0).empty());
  CHECK(parts_of(journal, 1) == lines_of({answered(1, 0), failed(1, 1)}));
}

TEST_CASE("after a retry the failed parts of an item run again, and the answered ones stay") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group({answered(1, 0), failed(1, 1), failed(2, 0)})));
    REQUIRE(journal.commit(group_of(2, {joined_of(1, {answered(1, 0), failed(1, 1)})})));
    REQUIRE(journal.commit(reopening(3, 1)));
    CHECK(parts_of(journal, 1) == lines_of({answered(1, 0)}));
    CHECK(parts_of(journal, 2) == lines_of({failed(2, 0)}));
  }
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    CHECK(journal.job(1).parts.at(1).answered == Answers{{0, 0}});
    CHECK(journal.job(1).parts.at(1).failed.empty());
    CHECK_FALSE(journal.job(1).terminal.contains(1));
    CHECK(journal.job(1).counts.failed == 0);
    CHECK(parts_of(journal, 1) == lines_of({answered(1, 0)}));
    journal.commit_next(of_parts(0, {answered(1, 1)}));
    CHECK(parts_of(journal, 1) == lines_of({answered(1, 0), answered(1, 1)}));
  }
  Opened journal{temp / "state"};
  CHECK(journal.job(1).parts.at(1).answered == Answers{{0, 0}, {1, 0}});
  CHECK(parts_of(journal, 1) == lines_of({answered(1, 0), answered(1, 1)}));
  journal.commit_next(group_of(0, {joined_of(1, {answered(1, 0), answered(1, 1)})}));
  CHECK(parts_of(journal, 1).empty());
}

TEST_CASE("part lines stand in files of their own, and nobody is told of them as results") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  Group group = first_group({answered(1, 1), answered(1, 0)}, "jobs/1");
  group.lines = {line(1, 0)};
  REQUIRE(journal.commit(std::move(group)));
  REQUIRE(journal.commit(of_parts(2, {answered(2, 0)})));
  CHECK(content_of(temp / "state/jobs/1/results-000001.jsonl") == line(1, 0).line + "\n");
  CHECK(content_of(temp / "state/jobs/1/parts-000001.jsonl") ==
        lines_of({answered(1, 1), answered(1, 0), answered(2, 0)}));
  CHECK(results_of(*journal.store, 1) == line(1, 0).line + "\n");
  journal.store->close();
  CHECK(content_of(temp / "state/jobs/1/results.durable") ==
        fmt::format("{{\"segments\":[{{\"file\":\"results-000001.jsonl\",\"bytes\":{}}}]}}\n",
                    line(1, 0).line.size() + 1));
}

TEST_CASE("a job that has only part lines yet has no results, and no file for them") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group({answered(1, 0)})));
    CHECK(results_of(*journal.store, 1).empty());
  }
  CHECK_FALSE(std::filesystem::exists(temp / "state/results-000001.jsonl"));
  CHECK_FALSE(std::filesystem::exists(temp / "state/results.durable"));
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(results_of(*journal.store, 1).empty());
}

TEST_CASE("items of one part are written as if there were no others") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    Group group = group_of(1, {line(1, 0), line(1, 2, true)});
    group.jobs = {new_job(1, "")};
    group.attempts = {{{JobId{1}, 3, 0}, 2, 1, 0, false}, {{JobId{1}, 1, 0}, 0, 1, 6, false}};
    REQUIRE(journal.commit(std::move(group)));
    REQUIRE(journal.commit(reopening(2, 2)));
  }
  CHECK(content_of(temp / "state/results-000001.jsonl") ==
        line(1, 0).line + "\n" + line(1, 2, true).line + "\n");
  // 0 completed, 2 failed with its class, 3 and 1 noted, as commit_row.hpp says.
  CHECK(value_of(temp / "state", "SELECT hex(items) FROM commits WHERE position = 1") ==
        "00132113081202011B000106");
  CHECK(value_of(temp / "state", "SELECT hex(items) FROM commits WHERE position = 2") == "24");
  CHECK(value_of(temp / "state", "SELECT count(*) FROM part_ranges") == "0");
  CHECK(files_of_parts(temp / "state") == 0);
}

TEST_CASE("segments of parts and of results end each at their own size, and are read over all") {
  const TempDirectory temp;
  auto options = Opened::options_for(temp / "state");
  options.store_bytes_per_segment = 600;
  std::string results;
  {
    Opened journal{options};
    REQUIRE(journal.commit(first_group({})));
    for (std::uint32_t n = 0; n < 12; ++n) {
      Group group = of_parts(2 + n, {answered(n % 2, n), answered(9, n)});
      group.lines = {line(1, 20 + n)};
      results += line(1, 20 + n).line + "\n";
      REQUIRE(journal.commit(std::move(group)));
    }
  }
  CHECK(std::filesystem::exists(temp / "state/parts-000005.jsonl"));
  CHECK_FALSE(std::filesystem::exists(temp / "state/results-000002.jsonl"));
  Opened journal{options};
  REQUIRE(journal.store);
  CHECK(results_of(*journal.store, 1) == results);
  std::vector<PartLine> of_nine, of_one;
  for (std::uint32_t n = 0; n < 12; ++n) of_nine.push_back(answered(9, n));
  for (std::uint32_t n = 1; n < 12; n += 2) of_one.push_back(answered(1, n));
  CHECK(parts_of(journal, 9) == lines_of(of_nine));
  CHECK(parts_of(journal, 1) == lines_of(of_one));
  // A life writes into no segment of another's.
  const std::size_t before = files_of_parts(temp / "state");
  journal.commit_next(of_parts(0, {answered(9, 12)}));
  CHECK(files_of_parts(temp / "state") == before + 1);
}

TEST_CASE("what nobody promised of parts is cut, and a file of them that nobody knows is removed") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group({answered(1, 0)})));
  }
  append_to(temp / "state/parts-000001.jsonl", answered(1, 1).line + "\n" + "{\"id\":\"bat");
  append_to(temp / "state/parts-000002.jsonl", answered(1, 1).line + "\n");
  append_to(temp / "state/results-000001.jsonl", line(1, 1).line + "\n");
  append_to(temp / "state/parts-000001.jsonl.bak", "a user's own");
  append_to(temp / "state/parts-1.jsonl", "a user's own");
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(content_of(temp / "state/parts-000001.jsonl") == lines_of({answered(1, 0)}));
  CHECK_FALSE(std::filesystem::exists(temp / "state/parts-000002.jsonl"));
  CHECK_FALSE(std::filesystem::exists(temp / "state/results-000001.jsonl"));
  CHECK(std::filesystem::exists(temp / "state/parts-000001.jsonl.bak"));
  CHECK(std::filesystem::exists(temp / "state/parts-1.jsonl"));
  CHECK(journal.job(1).parts.at(1).answered == Answers{{0, 0}});
  journal.commit_next(of_parts(0, {answered(1, 1)}));
  CHECK(parts_of(journal, 1) == lines_of({answered(1, 0), answered(1, 1)}));
}

TEST_CASE(
    "a file of parts that is shorter than the journal knows, or missing, is refused by name") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group({answered(1, 0)})));
  }
  const std::string path = temp / "state/parts-000001.jsonl";
  const auto bytes = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, bytes - 1);
  const Opened shorter{temp / "state"};
  REQUIRE_FALSE(shorter.store);
  CHECK(shorter.error.code == ErrorCode::io);
  CHECK_THAT(shorter.error.message,
             Catch::Contains(path) && Catch::Contains(fmt::format("has {} bytes, the journal knows "
                                                                  "{}",
                                                                  bytes - 1, bytes)));
  std::filesystem::remove(path);
  const Opened missing{temp / "state"};
  CHECK_THAT(missing.error.message, Catch::Contains(path) && Catch::Contains("has 0 bytes"));
}

TEST_CASE("a disk that is full anywhere in a group takes both kinds of lines back") {
  const std::vector<PartLine> first{answered(1, 0)}, more{answered(1, 1), answered(1, 2)};
  const std::string results = line(1, 0).line + "\n", more_results = line(1, 5).line + "\n";
  const std::size_t all = more_results.size() + lines_of(more).size();
  for (std::size_t fits = 0; fits < all; fits += 37) {
    CAPTURE(fits);
    const TempDirectory temp;
    std::optional<std::size_t> left;
    auto options = Opened::options_for(temp / "state");
    options.disk_calls.pwrite = [&](int fd, const void* data, std::size_t size,
                                    off_t offset) -> ssize_t {
      if (!left) return ::pwrite(fd, data, size, offset);
      const std::size_t now = std::min(size, *left);
      *left -= now;
      if (now > 0) return ::pwrite(fd, data, now, offset);
      errno = ENOSPC;
      return -1;
    };
    {
      Opened journal{options};
      Group group = first_group(first);
      group.lines = {line(1, 0)};
      REQUIRE(journal.commit(std::move(group)));
      Group next = of_parts(2, more);
      next.lines = {line(1, 5)};
      for (int again = 0; again < 2; ++again) {
        left = fits;
        const auto refused = journal.commit(next);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::disk_full);
        CHECK(content_of(temp / "state/results-000001.jsonl") == results);
        CHECK(content_of(temp / "state/parts-000001.jsonl") == lines_of(first));
        CHECK(parts_of(journal, 1) == lines_of(first));
      }
      left.reset();
      REQUIRE(journal.commit(next));
    }
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    CHECK(results_of(*journal.store, 1) == results + more_results);
    CHECK(parts_of(journal, 1) == lines_of({answered(1, 0), answered(1, 1), answered(1, 2)}));
  }
}

TEST_CASE("a disk that is full under the rows takes part lines back, also the first of a segment") {
  const TempDirectory temp;
  const DatabaseDisk disk;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group({answered(1, 0)})));
    Group group = of_parts(2, {answered(1, 1), part_line({JobId{2}, 0, 0})});
    group.jobs = {new_job(2, "jobs/2")};
    database_disk_full = true;
    for (int again = 0; again < 3; ++again) {
      const auto refused = journal.commit(group);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == ErrorCode::disk_full);
      CHECK(content_of(temp / "state/parts-000001.jsonl") == lines_of({answered(1, 0)}));
      CHECK(parts_of(journal, 1) == lines_of({answered(1, 0)}));
      CHECK(journal.store->parts_of(JobId{2}, 0)->empty());
    }
    database_disk_full = false;
    REQUIRE(journal.commit(group));
    CHECK(journal.store->parts_of(JobId{2}, 0)->size() == 1);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(parts_of(journal, 1) == lines_of({answered(1, 0), answered(1, 1)}));
  CHECK(journal.store->parts_of(JobId{2}, 0)->at(0).line == part_line({JobId{2}, 0, 0}).line);
}

TEST_CASE("a job that is forgotten leaves no part line and no row of them") {
  const auto [directory, name] = GENERATE(table<std::string, std::string>(
      {{"", "parts-000001.jsonl"}, {"jobs/1", "jobs/1/parts-000001.jsonl"}}));
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    Group group = first_group({answered(1, 0)}, directory);
    group.jobs.push_back(new_job(2, "jobs/2"));
    group.parts.push_back(part_line({JobId{2}, 1, 0}));
    REQUIRE(journal.commit(std::move(group)));
    CHECK(std::filesystem::exists(temp / "state/" + name));
    Group over;
    over.upto = 2;
    over.jobs = {{.job = JobId{1},
                  .spec = "",
                  .directory = "",
                  .state = JobState::cancelled,
                  .reason = {},
                  .detail = "",
                  .at = 200}};
    REQUIRE(journal.commit(std::move(over)));
    Group forgotten;
    forgotten.upto = 3;
    forgotten.forgotten = {JobId{1}};
    REQUIRE(journal.commit(std::move(forgotten)));
    CHECK(parts_of(journal, 1).empty());
    CHECK(journal.store->parts_of(JobId{2}, 1)->size() == 1);
    CHECK_FALSE(std::filesystem::exists(temp / "state/" + name));
  }
  CHECK(value_of(temp / "state", "SELECT group_concat(job) FROM part_ranges") == "2");
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.store->parts_of(JobId{2}, 1)->size() == 1);
}

TEST_CASE("a part line that is not what was written is an error, and never part of an answer") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.commit(first_group({answered(1, 0), answered(1, 1)})));
  const std::string path = temp / "state/parts-000001.jsonl", lines = content_of(path);
  const std::size_t one = answered(1, 0).line.size() + 1;
  std::string damaged = lines;
  const std::string what = GENERATE(as<std::string>{}, "flipped", "swapped", "newline", "short");
  CAPTURE(what);
  if (what == "flipped") damaged[lines.find("1.1 ")] ^= 1;
  if (what == "swapped") damaged = lines.substr(one) + lines.substr(0, one);
  if (what == "newline") damaged[one - 1] = ' ';
  if (what == "short") damaged.pop_back();
  std::filesystem::resize_file(path, 0);
  append_to(path, damaged);
  const auto parts = journal.store->parts_of(JobId{1}, 1);
  REQUIRE_FALSE(parts);
  CHECK(parts.error().code == ErrorCode::io);
  CHECK_THAT(parts.error().message, Catch::Contains(path) && Catch::Contains("of item 1 at byte"));
  std::filesystem::remove(path);
  CHECK_FALSE(journal.store->parts_of(JobId{1}, 1));
}

TEST_CASE("rows that contradict each other about parts are refused, with the row") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    Group group = first_group({answered(0, 0), answered(0, 1)});
    group.attempts = {{{JobId{1}, 0, 2}, 1, 0, 0, true}};
    REQUIRE(journal.commit(std::move(group)));
    REQUIRE(journal.commit(of_parts(2, {answered(0, 2)})));
    REQUIRE(journal.commit(
        group_of(3, {joined_of(0, {answered(0, 0), answered(0, 1), answered(0, 2)})})));
  }
  const std::string original = content_of(temp / "state/journal.db");
  const auto blob = [](const std::vector<ItemEntry>& entries) {
    ItemsWriter items;
    for (const ItemEntry& entry : entries) items.add(entry);
    std::string hex;
    for (const unsigned char byte : items.blob()) hex += fmt::format("{:02x}", byte);
    return hex;
  };
  const std::uint64_t bytes = answered(0, 0).line.size() + 1;
  const auto part = [bytes](std::uint32_t number, EntryKind kind = EntryKind::completed) {
    ItemEntry entry{.kind = kind, .item = 0, .part = number, .bytes = bytes};
    if (kind == EntryKind::failed) entry.cls = OutcomeClass::timeout;
    return entry;
  };
  const auto set = [&](int position, const std::vector<ItemEntry>& entries) {
    return fmt::format("UPDATE commits SET items = x'{}' WHERE position = {}", blob(entries),
                       position);
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {set(2, {part(1)}), "commit 2 of job 1: part 1 of item 0 has two lines"},
      {set(2, {part(1, EntryKind::failed)}), "part 1 of item 0 has two lines"},
      {set(2, {part(2), part(3)}), "commit 2 of job 1: expected 0 reopened items"},
      {set(2, {part(2, EntryKind::failed)}),
       "commit 3 of job 1: item 0 was answered, but its part 2 has failed"},
      {set(2, {part(3)}), "commit 3 of job 1: item 0 was answered, but its part 2 has no line"},
      {set(2, {part(PartNumber{1, 0, 1}.value())}), "its part 67108864 has no line"},
      {set(2, {part(PartNumber::judge(2).value())}), "its part 67108864 has no line"},
      {"DELETE FROM commits WHERE position = 2; DELETE FROM part_ranges WHERE position = 2",
       "commit 3 of job 1: item 0 was answered, but its part 2 has not ended"},
      {"DELETE FROM part_ranges WHERE position = 2", "and part lines in 0, its items say"},
      {"UPDATE part_ranges SET to_offset = to_offset + 1 WHERE position = 2", "and part lines in"},
      {"UPDATE part_ranges SET from_offset = from_offset + 1, to_offset = to_offset + 1 "
       "WHERE position = 2",
       "it begins at"},
      {"UPDATE commits SET position = 9 WHERE position = 2; "
       "UPDATE part_ranges SET position = 9 WHERE position = 2; "
       "UPDATE meta SET value = 9 WHERE key = 'last_position'; "
       "DELETE FROM commits WHERE position = 3; "
       "UPDATE part_ranges SET segment = 2 WHERE position = 9",
       "of segment 2, it begins at"},
  };
  for (const auto& [sql, words] : cases) check_refused_after(temp, original, sql, words);
}

TEST_CASE("a part's line after the line of its item is refused") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group({answered(0, 0)})));
    REQUIRE(journal.commit(group_of(2, {joined_of(0, {answered(0, 0)})})));
    REQUIRE(journal.commit(of_parts(3, {answered(0, 1)})));
  }
  const Opened journal{temp / "state"};
  REQUIRE_FALSE(journal.store);
  CHECK_THAT(journal.error.message,
             Catch::Contains("commit 3 of job 1: part 1 of item 0 ended after its item"));
}

} // namespace sqlite_store_parts_test
