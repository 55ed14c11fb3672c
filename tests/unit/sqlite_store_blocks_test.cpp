#include "tests/unit/sqlite_store_harness.hpp"

using namespace gristmill;
using namespace gristmill::store_test;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

constexpr Time start = Time{hours{1'000}};

// A life of the coordinator on a boot of our choosing.
Opened life(const std::string& directory, const std::string& boot, Time now) {
  auto options = Opened::options_for(directory);
  options.boot_id = boot;
  options.now = now;
  return Opened{options};
}

BlockNote block(std::uint64_t number, Time until, std::uint64_t calls = 10) {
  return {.block = number,
          .account = "job:1",
          .calls = calls,
          .tokens = calls * 100,
          .until = until,
          .marks = {{JobId{1}, number * 50}, {JobId{2}, 7}}};
}

Position commit_blocks(Opened& journal, std::vector<BlockNote> blocks) {
  Group group = group_of(journal.recovered.last_position + 1, {});
  if (journal.recovered.epoch == Epoch{1}) group.jobs = {new_job(1, "1"), new_job(2, "2")};
  group.blocks = std::move(blocks);
  return journal.commit(std::move(group)).value();
}

std::vector<std::uint64_t> numbers_of(const Recovered& recovered) {
  std::vector<std::uint64_t> numbers;
  for (const BlockNote& block : recovered.blocks) numbers.push_back(block.block);
  return numbers;
}

using Numbers = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("blocks come back with their account, end and marks, and drawn amounts once closed") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    REQUIRE(journal.store);
    BlockNote second = block(2, start + seconds{2}, 20);
    second.drawn = {{1, 3, 400}};
    BlockNote third = block(3, start + seconds{3}, 30); // closes its own group's block
    third.drawn = {{1, 3, 250}, {2, 0, 0}};
    third.marks.clear();
    commit_blocks(journal, {block(1, start + seconds{1})});
    journal.recovered.last_position = 1;
    commit_blocks(journal, {second, third});
  }
  const auto journal = life(temp / "state", "boot-a", start + seconds{4});
  REQUIRE(journal.store);
  CHECK(journal.recovered.same_boot);
  REQUIRE(numbers_of(journal.recovered) == Numbers{1, 2, 3});
  const auto& blocks = journal.recovered.blocks;
  CHECK(blocks[0].account == "job:1");
  CHECK(blocks[0].calls == 3);
  CHECK(blocks[0].tokens == 250);
  CHECK(blocks[0].until == start + seconds{1});
  CHECK(blocks[0].marks ==
        std::vector<std::pair<JobId, std::uint64_t>>{{JobId{1}, 50}, {JobId{2}, 7}});
  CHECK(blocks[1].calls == 0);
  CHECK(blocks[2].calls == 30);
  CHECK(blocks[2].tokens == 3'000);
  CHECK(blocks[2].marks.empty());
  CHECK(journal.job(1).mark == 100);
  CHECK(journal.job(2).mark == 7);
}

TEST_CASE("blocks of a day and an hour ago are history, except the marks of the newest life") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit_blocks(journal, {block(1, start), block(2, start + hours{2})});
  }
  {
    auto journal = life(temp / "state", "boot-a", start + hours{25});
    CHECK(numbers_of(journal.recovered) == Numbers{2});
    CHECK(journal.job(1).mark == 100);
  }
  REQUIRE(life(temp / "state", "boot-a", start + hours{89}).store);
  {
    auto journal = life(temp / "state", "boot-a", start + hours{90});
    CHECK(numbers_of(journal.recovered).empty());
    CHECK(journal.job(1).mark == 100);
    commit_blocks(journal, {block(1, start + hours{90})});
  }
  const auto journal = life(temp / "state", "boot-a", start + hours{91});
  CHECK(numbers_of(journal.recovered) == Numbers{1});
  journal.store->close();
  auto database = coordinator::Database::open(temp / "state/journal.db");
  CHECK(database->integer("SELECT count(*) FROM blocks").value() == 1);
}

TEST_CASE("a life that dies before its first block does not lose the mark of the life before") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit_blocks(journal, {block(4, start + seconds{1})});
  }
  REQUIRE(life(temp / "state", "boot-a", start + seconds{2}).store);
  const auto journal = life(temp / "state", "boot-a", start + seconds{3});
  CHECK(journal.recovered.epoch == Epoch{3});
  CHECK(numbers_of(journal.recovered) == Numbers{4});
  CHECK(journal.job(1).mark == 200);
}

// boot-a   |--1-----2--|                      block 1 is 26 hours older than block 2
// boot-b                 |..|   |--1--|       the clock begins again near zero
TEST_CASE("blocks of an earlier boot count from the first moment of this one") {
  const TempDirectory temp;
  const Time reboot{seconds{40}};
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit_blocks(journal, {block(1, start), block(2, start + hours{26}), block(3, never)});
  }
  {
    const auto journal = life(temp / "state", "boot-b", reboot);
    CHECK_FALSE(journal.recovered.same_boot);
    REQUIRE(numbers_of(journal.recovered) == Numbers{2, 3});
    CHECK(journal.recovered.blocks[0].until == reboot);
    CHECK(journal.recovered.blocks[1].until == reboot);
  }
  {
    auto journal = life(temp / "state", "boot-b", reboot + seconds{5});
    CHECK(journal.recovered.same_boot);
    REQUIRE(numbers_of(journal.recovered) == Numbers{2, 3});
    CHECK(journal.recovered.blocks[0].until == reboot);
    commit_blocks(journal, {block(1, reboot + seconds{6})});
  }
  const auto journal = life(temp / "state", "boot-b", reboot + hours{25});
  REQUIRE(numbers_of(journal.recovered) == Numbers{1});
  CHECK(journal.recovered.blocks[0].until == reboot + seconds{6});
}
