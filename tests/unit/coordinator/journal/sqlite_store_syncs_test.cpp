// What a group costs: as many syncs for many jobs as for few, and no work for jobs that it does not
// touch; and what is removed when a job is forgotten.
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include "coordinator/disk/state_directory.hpp"

#include <atomic>

namespace sqlite_store_syncs_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

struct Counts {
  std::atomic<int> files = 0, file_systems = 0, removed = 0;
  std::atomic<bool> fails = false;
};

SqliteStoreOptions counted(const std::string& directory, Counts& counts) {
  auto options = Opened::options_for(directory);
  options.disk_calls.fdatasync = [&counts](int fd) {
    ++counts.files;
    return counts.fails ? (errno = EIO, -1) : ::fdatasync(fd);
  };
  options.disk_calls.syncfs = [&counts](int fd) {
    ++counts.file_systems;
    return counts.fails ? (errno = EIO, -1) : ::syncfs(fd);
  };
  return options;
}

Group group_of_jobs(std::uint32_t jobs, std::uint64_t item, bool begins) {
  Group group;
  for (std::uint32_t id = 1; id <= jobs; ++id) {
    if (begins) group.jobs.push_back(new_job(id, fmt::format("jobs/{}", id)));
    group.lines.push_back(line(id, item));
  }
  return group;
}

} // namespace

TEST_CASE("a group of a few files syncs each of them, one of many their file system once") {
  const TempDirectory temp;
  const std::uint32_t jobs = GENERATE(1, 4, 5, 400);
  Counts counts;
  Opened journal{counted(temp / "state", counts)};
  REQUIRE(journal.store);
  const bool whole = coordinator::whole_sync_tells_all(temp / "state");
  journal.commit_next(group_of_jobs(jobs, 0, true)); // with the names of new files
  counts.files = counts.file_systems = 0;
  journal.commit_next(group_of_jobs(jobs, 1, false));
  const bool at_once = whole && jobs > 4;
  CHECK(counts.file_systems == (at_once ? 1 : 0));
  CHECK(counts.files == (at_once ? 0 : static_cast<int>(jobs)));
  CHECK(results_of(*journal.store, jobs) ==
        fmt::format("{{\"job\":{0},\"item\":0}}\n{{\"job\":{0},\"item\":1}}\n", jobs));
}

TEST_CASE("the first lines of many jobs cost one sync, too") {
  const TempDirectory temp;
  Counts counts;
  Opened journal{counted(temp / "state", counts)};
  REQUIRE(journal.store);
  journal.commit_next(group_of_jobs(400, 0, true));
  if (coordinator::whole_sync_tells_all(temp / "state")) {
    CHECK(counts.file_systems == 1);
    CHECK(counts.files == 0);
  } else {
    CHECK(counts.files == 400);
  }
}

TEST_CASE("a file system that cannot be synced is the end of the store") {
  const TempDirectory temp;
  Counts counts;
  Opened journal{counted(temp / "state", counts)};
  REQUIRE(journal.store);
  journal.commit_next(group_of_jobs(20, 0, true));
  counts.fails = true;
  Group group = group_of_jobs(20, 1, false);
  group.upto = 2;
  const auto refused = journal.commit(std::move(group));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::io);
  counts.fails = false;
  Group next = group_of_jobs(20, 2, false);
  next.upto = 3;
  CHECK_FALSE(journal.commit(std::move(next)));
  journal.store.reset();
  const Opened again{temp / "state"};
  REQUIRE(again.store);
  CHECK(again.recovered.last_position == 1);
}

TEST_CASE("a whole sync is trusted on Linux file systems that are known to tell of failures only") {
  CHECK_FALSE(coordinator::whole_sync_tells_all("/proc"));
  CHECK_FALSE(coordinator::whole_sync_tells_all("/nowhere"));
}

namespace {

bool exists(const std::string& path) {
  return std::filesystem::exists(path);
}

Group forgetting(std::uint32_t job, Position upto) {
  Group group;
  group.upto = upto;
  group.forgotten = {JobId{job}};
  return group;
}

struct Removals {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> paths;
  bool hold = false, fail = false;

  std::error_code operator()(const std::string& path) {
    std::unique_lock lock{mutex};
    paths.push_back(path);
    changed.notify_all();
    changed.wait(lock, [this] { return !hold; });
    const auto error = fail ? std::make_error_code(std::errc::operation_not_permitted)
                            : coordinator::remove_tree(path);
    changed.notify_all();
    return error;
  }
  template <class Condition> void wait_until(Condition condition) {
    std::unique_lock lock{mutex};
    REQUIRE(changed.wait_for(lock, std::chrono::minutes{1}, condition));
  }
  void release() {
    const std::lock_guard guard{mutex};
    hold = false;
    changed.notify_all();
  }
};

SqliteStoreOptions removing(const std::string& directory, Removals& removals) {
  auto options = Opened::options_for(directory);
  options.disk_calls.remove_tree = std::ref(removals);
  return options;
}

} // namespace

TEST_CASE("the journal does not wait until a forgotten job's files are removed") {
  const TempDirectory temp;
  Removals removals;
  removals.hold = true;
  Opened journal{removing(temp / "state", removals)};
  REQUIRE(journal.store);
  journal.commit_next(group_of_jobs(2, 0, true));
  REQUIRE(journal.commit(forgetting(1, 2)));
  removals.wait_until([&] { return removals.paths.size() == 1; });
  CHECK_FALSE(exists(temp / "state/jobs/1")); // its name is gone at once
  REQUIRE(journal.commit(group_of(3, {line(2, 1)})));
  removals.release();
  removals.wait_until([&] { return !exists(temp / "state/jobs/forgotten-1"); });
}

TEST_CASE("what cannot be removed of a forgotten job ends nobody, and the next start takes it") {
  const TempDirectory temp;
  {
    Removals removals;
    removals.fail = true;
    Opened journal{removing(temp / "state", removals)};
    REQUIRE(journal.store);
    journal.commit_next(group_of_jobs(2, 0, true));
    REQUIRE(journal.commit(forgetting(1, 2)));
    removals.wait_until([&] { return !removals.paths.empty(); });
    REQUIRE(journal.commit(group_of(3, {line(2, 1)})));
  }
  CHECK(exists(temp / "state/jobs/forgotten-1"));
  std::filesystem::create_directories(temp / "state/jobs/7"); // forgotten just before a crash
  std::filesystem::create_directories(temp / "state/jobs/a user's own");
  Removals removals;
  Opened journal{removing(temp / "state", removals)};
  REQUIRE(journal.store);
  removals.wait_until(
      [&] { return !exists(temp / "state/jobs/forgotten-1") && !exists(temp / "state/jobs/7"); });
  journal.store.reset();
  CHECK(exists(temp / "state/jobs/a user's own"));
  CHECK(exists(temp / "state/jobs/2"));
}

TEST_CASE("a directory that went behind our back is no fault when its job is forgotten") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  journal.commit_next(group_of_jobs(1, 0, true));
  std::error_code busy; // results.durable may be written there just now
  while (std::filesystem::exists(temp / "state/jobs/1"))
    std::filesystem::remove_all(temp / "state/jobs/1", busy);
  CHECK(journal.commit(forgetting(1, 2)));
}

} // namespace sqlite_store_syncs_test
