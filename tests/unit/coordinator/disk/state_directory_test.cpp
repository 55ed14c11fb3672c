#include "coordinator/disk/state_directory.hpp"
#include "tests/unit/coordinator/disk/disk_counts.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace state_directory_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::store_test;
namespace fs = std::filesystem;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat about {};
  REQUIRE(::lstat(path.c_str(), &about) == 0);
  return about.st_mode & 07777;
}

struct Umask {
  explicit Umask(mode_t mask) : before{::umask(mask)} {}
  ~Umask() { ::umask(before); }
  mode_t before;
};

} // namespace

TEST_CASE("network file systems are known by their type, and FUSE by what it is mounted as") {
  for (const unsigned long type :
       {0x6969ul, 0xff534d42ul, 0xfe534d42ul, 0x517bul, 0x00c36400ul, 0x01021997ul, 0x19830326ul,
        0x786f4256ul, 0x01161970ul, 0x7461636ful, 0x20030528ul})
    CHECK(is_network_file_system(type, ""));
  for (const unsigned long type :
       {0xef53ul, 0x01021994ul, 0x58465342ul, 0x9123683eul, 0x794c7630ul})
    CHECK_FALSE(is_network_file_system(type, "")); // ext4, tmpfs, xfs, btrfs, overlay
  constexpr unsigned long fuse = 0x65735546;
  for (const char* name : {"fuse.sshfs", "fuse.gcsfuse", "fuse.glusterfs", "virtiofs", "fuse", ""})
    CHECK(is_network_file_system(fuse, name));
  for (const char* name : {"fuse.fuse-overlayfs", "fuseblk"})
    CHECK_FALSE(is_network_file_system(fuse, name));
}

TEST_CASE("a state directory on a network file system is refused, naming --state") {
  const TempDirectory temp;
  DiskCalls calls;
  calls.statfs = [](const char*, struct statfs* info) {
    *info = {};
    info->f_type = 0x6969;
    return 0;
  };
  const auto taken = take_state_directory(temp / "state", calls);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == ErrorCode::usage);
  CHECK_THAT(taken.error().message,
             Catch::Contains("network file system") && Catch::Contains("--state"));

  auto options = Opened::options_for(temp / "state");
  options.disk_calls = calls;
  const Opened journal{options};
  CHECK_FALSE(journal.store);
}

TEST_CASE("a state directory into which others may write is refused") {
  const TempDirectory temp;
  const std::string state = temp / "state";
  REQUIRE(::mkdir(state.c_str(), 0700) == 0);
  for (const mode_t mode : {0720u, 0702u, 0777u, 01777u}) {
    REQUIRE(::chmod(state.c_str(), mode) == 0);
    const auto taken = take_state_directory(state);
    REQUIRE_FALSE(taken);
    CHECK_THAT(taken.error().message, Catch::Contains("chmod 700"));
  }
  REQUIRE(::chmod(state.c_str(), 0755) == 0);
  CHECK(take_state_directory(state));
}

TEST_CASE("a state directory of another user is refused") {
  if (::geteuid() != 0) return; // only root can make one
  const TempDirectory temp;
  const std::string state = temp / "state";
  REQUIRE(::mkdir(state.c_str(), 0700) == 0);
  REQUIRE(::chown(state.c_str(), 1, 1) == 0);
  const auto taken = take_state_directory(state);
  REQUIRE_FALSE(taken);
  CHECK_THAT(taken.error().message, Catch::Contains("belongs to user 1"));
}

TEST_CASE("no link in a state directory is followed") {
  const TempDirectory temp;
  const std::string state = temp / "state", victim = temp / "victim";
  REQUIRE(::mkdir(state.c_str(), 0700) == 0);
  std::ofstream{victim} << "precious";
  fs::create_symlink(victim, state + "/lock");
  CHECK_FALSE(take_state_directory(state));
  fs::remove(state + "/lock");
  fs::create_symlink(victim, state + "/journal.db");
  CHECK_FALSE(take_state_directory(state));
  CHECK_FALSE(make_journal_private(state + "/journal.db"));
  fs::remove(state + "/journal.db");
  {
    Opened journal{state};
    REQUIRE(journal.store);
    fs::create_symlink(victim, state + "/results.durable.draft");
    Group group = group_of(1, {line(1, 0)});
    group.jobs = {new_job(1, "")};
    REQUIRE(journal.commit(std::move(group)));
  }
  std::ifstream file{victim};
  CHECK(std::string{std::istreambuf_iterator<char>{file}, {}} == "precious");
}

TEST_CASE("a journal is its owner's alone, whatever directory and umask say") {
  const TempDirectory temp;
  const std::string state = temp / "state";
  const Umask open{0};
  REQUIRE(::mkdir(state.c_str(), 0755) == 0);
  const auto check = [&] {
    Opened journal{state};
    REQUIRE(journal.store);
    Group group;
    group.jobs = {new_job(1, "jobs/1")};
    group.lines = {line(1, journal.recovered.last_position)};
    journal.commit_next(std::move(group));
    for (const auto& entry : fs::directory_iterator{state}) {
      CAPTURE(entry.path());
      CHECK((mode_of(entry.path()) & 077) == 0);
    }
    CHECK(fs::exists(state + "/journal.db-wal"));
  };
  check();
  // One that an earlier release left.
  REQUIRE(::chmod((state + "/journal.db").c_str(), 0644) == 0);
  check();
}

} // namespace state_directory_test
