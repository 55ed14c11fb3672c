// What uploads and scratch files may take of the disk, and a journal that is taken away.
#include "coordinator/disk/disk_room.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace disk_room_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::store_test;

TEST_CASE("a part of the disk stays free for the journal") {
  constexpr std::uint64_t mega = 1u << 20;
  // A quarter of a small disk, 256 MB of any other.
  const auto [size, free, wanted, good] =
      GENERATE(table<std::uint64_t, std::uint64_t, std::uint64_t, bool>({
          {100'000, 1'000, 744 * mega - 1, true},
          {100'000, 1'000, 744 * mega, true},
          {100'000, 1'000, 744 * mega + 1, false},
          {64, 20, 4 * mega, true},
          {64, 20, 4 * mega + 1, false},
          {64, 10, 1, false},
          {64, 10, 0, true},
      }));
  CAPTURE(size, free, wanted);
  DiskRoom room{"/state", "uploads", [&](const char*, struct statvfs* disk) {
                  disk->f_frsize = mega;
                  disk->f_blocks = size;
                  disk->f_bavail = free;
                  return 0;
                }};
  const auto taken = room.take(wanted);
  CHECK(taken.has_value() == good);
  if (!taken) CHECK(taken.error().code == ErrorCode::disk_full);
}

TEST_CASE("the disk is looked at again before more is taken than there was") {
  constexpr std::uint64_t mega = 1u << 20;
  std::uint64_t free = 300;
  int looks = 0;
  DiskRoom room{"/state", "uploads", [&](const char*, struct statvfs* disk) {
                  ++looks;
                  disk->f_frsize = mega;
                  disk->f_blocks = 100'000;
                  disk->f_bavail = free;
                  return 0;
                }};
  std::uint64_t taken = 0;
  while (room.take(mega / 2)) {
    taken += mega / 2;
    free = 300 - taken / mega;
    REQUIRE(taken <= 44 * mega);
  }
  CHECK(taken == 44 * mega);
  CHECK(looks <= 6);
}

TEST_CASE("a journal that was deleted or replaced is not written any more") {
  const TempDirectory temp;
  const bool replaced = GENERATE(true, false);
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  Group first;
  first.jobs = {new_job(1, "1")};
  journal.commit_next(std::move(first));
  std::filesystem::rename(temp / "state/journal.db", temp / "state/journal.old");
  if (replaced) append_to(temp / "state/journal.db", content_of(temp / "state/journal.old"));
  const auto written = journal.commit(group_of(2, {line(1, 0)}));
  REQUIRE_FALSE(written);
  CHECK(written.error().code == ErrorCode::internal);
  CHECK(written.error().message.find(replaced ? "replaced" : "deleted") != std::string::npos);
  CHECK_FALSE(journal.commit(group_of(3, {line(1, 1)})));
}

} // namespace disk_room_test
