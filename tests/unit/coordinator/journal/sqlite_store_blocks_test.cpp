#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include "actors/kit/defaults.hpp"

namespace sqlite_store_blocks_test {

using namespace gristmill;
using namespace gristmill::store_test;
using std::chrono::seconds;

namespace {

constexpr Time start = Time{std::chrono::hours{1'000}};

// A life of the coordinator on a boot of our choosing.
Opened life(const std::string& directory, const std::string& boot, Time now) {
  auto options = Opened::options_for(directory);
  options.boot_id = boot;
  options.now = now;
  return Opened{options};
}

BlockNote block(std::uint64_t number, Time until, std::uint64_t calls = 10) {
  return {
      .block = number, .account = "job:1", .calls = calls, .tokens = calls * 100, .until = until};
}

Position commit_blocks(Opened& journal, std::vector<BlockNote> blocks) {
  Group group = group_of(journal.recovered.last_position + 1, {});
  if (journal.recovered.epoch == Epoch{1}) group.jobs = {new_job(1, "1"), new_job(2, "2")};
  for (const BlockNote& block : blocks) group.marks.push_back({JobId{1}, block.block * 50});
  group.marks.push_back({JobId{2}, 7});
  group.blocks = std::move(blocks);
  return journal.commit(std::move(group)).value();
}

std::vector<std::uint64_t> numbers_of(const Recovered& recovered) {
  std::vector<std::uint64_t> numbers;
  for (const BlockNote& block : recovered.blocks) numbers.push_back(block.block);
  return numbers;
}

using Numbers = std::vector<std::uint64_t>;

std::int64_t rows_of(const std::string& state, const std::string& table) {
  auto database = coordinator::Database::open(state + "/journal.db");
  return database->integer("SELECT count(*) FROM " + table).value();
}

constexpr Duration memory = defaults::block_memory;

} // namespace

TEST_CASE("blocks come back with their account and end, and drawn amounts once closed") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    REQUIRE(journal.store);
    BlockNote second = block(2, start + seconds{2}, 20);
    second.drawn = {{1, 3, 400}};
    BlockNote third = block(3, start + seconds{3}, 30); // closes its own group's block
    third.drawn = {{1, 3, 250}, {2, 0, 0}};
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
  CHECK(blocks[1].calls == 0);
  CHECK(blocks[2].calls == 30);
  CHECK(blocks[2].tokens == 3'000);
  CHECK(journal.job(1).mark == 150);
  CHECK(journal.job(2).mark == 7);
}

TEST_CASE("blocks that no window counts any more are history, whoever wrote them") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit_blocks(journal, {block(1, start), block(2, start + seconds{30})});
  }
  {
    auto journal = life(temp / "state", "boot-a", start + memory);
    CHECK(numbers_of(journal.recovered) == Numbers{2});
    CHECK(journal.job(1).mark == 100);
  }
  REQUIRE(rows_of(temp / "state", "blocks") == 1);
  auto journal = life(temp / "state", "boot-a", start + memory + seconds{30});
  CHECK(numbers_of(journal.recovered).empty());
  CHECK(journal.job(1).mark == 100);
  journal.store->close();
  CHECK(rows_of(temp / "state", "blocks") == 0);
}

TEST_CASE("the journal forgets a block in the group that says that it is over") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit_blocks(journal, {block(1, start), block(2, start), block(3, start)});
    journal.recovered.last_position = 1;
    BlockNote fourth = block(4, start + seconds{70});
    fourth.over = {1, 3, 99};
    commit_blocks(journal, {fourth});
  }
  const auto journal = life(temp / "state", "boot-a", start + seconds{1});
  CHECK(numbers_of(journal.recovered) == Numbers{2, 4});
}

TEST_CASE("a mark is written also where nothing else is") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit_blocks(journal, {block(3, start)});
    Group group = group_of(2, {});
    group.marks = {{JobId{1}, 7'000}};
    REQUIRE(journal.commit(std::move(group)));
  }
  CHECK(life(temp / "state", "boot-a", start).job(1).mark == 7'000);
}

TEST_CASE("a mark only rises, and is not kept of a job that is not there") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit_blocks(journal, {block(3, start)});
    journal.recovered.last_position = 1;
    commit_blocks(journal, {block(2, start)});
    Group group = group_of(3, {});
    group.marks = {{JobId{5}, 70}, {JobId{2}, 9}};
    REQUIRE(journal.commit(std::move(group)));
    group = group_of(4, {});
    group.forgotten = {JobId{2}};
    REQUIRE(journal.commit(std::move(group)));
  }
  CHECK(rows_of(temp / "state", "marks") == 1);
  CHECK(life(temp / "state", "boot-a", start).job(1).mark == 150);
}

TEST_CASE("sessions have a row while they are open, and lives while something needs them") {
  const TempDirectory temp;
  for (int n = 0; n < 40; ++n) {
    auto journal = life(temp / "state", n < 20 ? "boot-a" : "boot-b", start + seconds{n});
    REQUIRE(journal.store);
    CHECK(journal.recovered.epoch.value == static_cast<std::uint32_t>(n) + 1);
    for (std::uint64_t s = 1; s <= 50; ++s)
      for (const bool open : {true, false}) {
        Group group;
        group.sessions = {{SessionId{s}, "w", Nonce{s}, open}};
        journal.commit_next(std::move(group));
      }
  }
  CHECK(rows_of(temp / "state", "sessions") == 0);
  CHECK(rows_of(temp / "state", "epochs") == 3); // the boot's first, the last one, and ours
}

TEST_CASE("a state directory is refused before attempt ids of two lives would be the same") {
  const TempDirectory temp;
  const auto [before, starts] =
      GENERATE(table<std::uint64_t, bool>({{65'533, true}, {65'534, true}, {65'535, false}}));
  REQUIRE(life(temp / "state", "boot-a", start).store);
  {
    auto database = coordinator::Database::open(temp / "state/journal.db");
    REQUIRE(database->execute(fmt::format("UPDATE epochs SET epoch = {}", before)));
    database->close(true);
  }
  const auto journal = life(temp / "state", "boot-a", start);
  CHECK(bool{journal.store} == starts);
  if (!starts) {
    CHECK(journal.error.code == ErrorCode::conflict);
    CHECK_THAT(journal.error.message, Catch::Contains("fewer than 65536 starts"));
  }
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

// boot-a   |--1-----2--|                      block 1 is two minutes older than block 2
// boot-b                 |..|   |--1--|       the clock begins again near zero
TEST_CASE("blocks of an earlier boot count from the first moment of this one") {
  const TempDirectory temp;
  const Time reboot{seconds{40}};
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit_blocks(journal, {block(1, start), block(2, start + seconds{120}), block(3, never)});
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
  const auto journal = life(temp / "state", "boot-b", reboot + memory);
  REQUIRE(numbers_of(journal.recovered) == Numbers{1});
  CHECK(journal.recovered.blocks[0].until == reboot + seconds{6});
}

} // namespace sqlite_store_blocks_test
