#include "cli/run/line_printer.hpp"
#include "coordinator/result/part_file.hpp"
#include "tests/unit/coordinator/disk/disk_counts.hpp"
#include "tests/unit/coordinator/inputs/uploads_harness.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <thread>

namespace file_io_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::store_test;
using gristmill::disk_test::DiskCounts;
namespace fs = std::filesystem;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat about {};
  REQUIRE(::lstat(path.c_str(), &about) == 0);
  return about.st_mode & 07777;
}

// A file that is written and gets its name, with one system call that fails.
Result<> write_part(const std::string& path, DiskCounts& disk) {
  auto file = PartFile::create(path, {.calls = disk.calls()});
  GRISTMILL_TRY(file);
  GRISTMILL_TRY((*file)->append("new"));
  return (*file)->finish();
}

} // namespace

TEST_CASE("a write that is interrupted or short goes on, and one that takes nothing is an error") {
  const TempDirectory temp;
  const std::string path = temp / "file";
  DiskCalls calls;
  int n = 0;
  calls.write = [&n](int fd, const void* data, std::size_t size) -> ssize_t {
    if (++n % 2 == 1) {
      errno = EINTR;
      return -1;
    }
    return ::write(fd, data, std::min<std::size_t>(size, 2));
  };
  auto file = open_file(path, O_RDWR | O_CREAT, 0600, calls);
  REQUIRE(file);
  REQUIRE(write_all(*file, "seven__", path, calls));
  CHECK(content_of(path) == "seven__");
  std::string text(20, '\0');
  CHECK(read_at(*file, 2, text, path) == 5u);
  CHECK(text.substr(0, 5) == "ven__");
  calls.write = [](int, const void*, std::size_t) -> ssize_t { return 0; };
  CHECK(write_all(*file, "x", path, calls).error().code == ErrorCode::io);
}

TEST_CASE("errors of a full disk and of a limit on file size say what to do") {
  errno = ENOSPC;
  CHECK(disk_error("write", "f").code == ErrorCode::disk_full);
  errno = EDQUOT;
  CHECK_THAT(disk_error("write", "f").message, Catch::Contains("free some space"));
  errno = EFBIG;
  CHECK_THAT(disk_error("write", "f").message, Catch::Contains("ulimit -f"));
}

TEST_CASE("whichever call of a part file fails, its name keeps what it had and no part stays") {
  const TempDirectory temp;
  const std::string path = temp / "out";
  for (const char* call : {"open", "write", "fsync", "close", "rename"}) {
    CAPTURE(call);
    std::ofstream{path} << "old";
    DiskCounts disk;
    disk.let_fail(call, ENOSPC);
    CHECK_FALSE(write_part(path, disk));
    CHECK(content_of(path) == "old");
    CHECK_FALSE(fs::exists(path + ".part"));
  }
  DiskCounts disk;
  disk.let_fail("fsync_directory", EIO);
  CHECK_FALSE(write_part(path, disk));
}

TEST_CASE("a part whose place somebody else has taken is not given its name") {
  const TempDirectory temp;
  auto first = PartFile::create(temp / "out");
  REQUIRE((*first)->append("first"));
  auto second = PartFile::create(temp / "out");
  REQUIRE((*second)->append("second"));
  const auto finished = (*first)->finish();
  REQUIRE_FALSE(finished);
  CHECK(finished.error().code == ErrorCode::conflict);
  first->reset();
  REQUIRE((*second)->finish());
  CHECK(content_of(temp / "out") == "second");
}

TEST_CASE("every new name is synced in its directory: a part's, an upload's, a directory's") {
  const TempDirectory temp;
  const std::string root = fs::canonical(temp / ".").string();
  DiskCounts disk;
  REQUIRE(write_part(root + "/out", disk));
  CHECK(disk.has("fsync", root + "/out.part"));
  CHECK(disk.has("fsync_directory", root));

  disk.forget();
  REQUIRE(make_directory(root + "/a/b/", disk.calls()));
  CHECK(disk.files("fsync_directory") == std::vector<std::string>{root, root + "/a"});
  CHECK(mode_of(root + "/a/b") == 0700);

  disk.forget();
  auto uploads = uploads_test::open_uploads(root + "/state", "", disk.calls());
  REQUIRE(uploads);
  auto upload = (*uploads)->begin("in.jsonl", {});
  REQUIRE(upload);
  REQUIRE((*upload)->append("{}\n"));
  const auto finished = (*upload)->finish();
  REQUIRE(finished);
  CHECK(disk.has("fsync_directory", fs::path{finished->place}.parent_path()));
  CHECK(disk.has("fsync_directory", root + "/state/inputs"));
  CHECK(mode_of(finished->place) == 0600);
}

TEST_CASE("a journal's name is synced when it opens, and a segment's when it begins") {
  const TempDirectory temp;
  const std::string root = fs::canonical(temp / ".").string();
  DiskCounts disk;
  auto options = Opened::options_for(root + "/state");
  options.disk_calls = disk.calls();
  Opened journal{options};
  REQUIRE(journal.store);
  CHECK(disk.has("fsync_directory", root));
  CHECK(disk.has("fsync_directory", root + "/state"));

  disk.forget();
  Group group = group_of(1, {line(1, 0)});
  group.jobs = {new_job(1, "jobs/1")};
  REQUIRE(journal.commit(std::move(group)));
  CHECK(disk.files("fsync_directory") ==
        std::vector<std::string>{root + "/state", root + "/state/jobs", root + "/state/jobs/1"});
}

TEST_CASE("every segment that a group touches is synced") {
  const TempDirectory temp;
  const std::string root = fs::canonical(temp / ".").string();
  DiskCounts disk;
  auto options = Opened::options_for(root + "/state");
  options.disk_calls = disk.calls();
  Opened journal{options};
  REQUIRE(journal.store);
  Group group = group_of(1, {line(1, 0), line(2, 0)});
  group.jobs = {new_job(1, "jobs/1"), new_job(2, "jobs/2")};
  REQUIRE(journal.commit(std::move(group))); // many new names: one sync for them all
  disk.forget();
  REQUIRE(journal.commit(group_of(2, {line(1, 1), line(2, 1)})));
  for (const char* job : {"1", "2"})
    CHECK(disk.has("fdatasync", fmt::format("{}/state/jobs/{}/results-000001.jsonl", root, job)));
}

TEST_CASE("printed lines in a file are synced before STATE/printed speaks of them") {
  const TempDirectory temp;
  const std::string segment = temp / "results-000001.jsonl";
  std::ofstream{segment} << "{}\n";
  const auto out = open_file(temp / "out", O_WRONLY | O_CREAT);
  DiskCounts disk;
  auto printer = cli::LinePrinter::open(temp / ".", out->get(), disk.calls());
  REQUIRE(printer);
  SegmentFiles one_line{temp / ".", {{1, 3}}}, two_lines{temp / ".", {{1, 6}}};
  REQUIRE(printer->print(one_line, std::chrono::minutes{1}));
  CHECK(disk.files("fdatasync").size() == 1);
  CHECK(mode_of(temp / "printed") == 0600);

  std::ofstream{segment, std::ios::app} << "{}\n";
  disk.let_fail("fdatasync", EIO);
  auto again = cli::LinePrinter::open(temp / ".", out->get(), disk.calls());
  const auto printed = again->print(two_lines, std::chrono::minutes{1});
  CHECK_FALSE((printed && again->save()));
  CHECK_THAT(content_of(temp / "printed"),
             Catch::Contains("\"file\":\"results-000001.jsonl\",\"bytes\":3"));
}

TEST_CASE("a directory that another thread makes at the same time is no error") {
  const TempDirectory temp;
  for (int n = 0; n < 50; ++n) {
    const std::string path = temp / fmt::format("{}/jobs", n);
    std::vector<Result<>> made(2);
    {
      const std::jthread first{[&] { made[0] = make_directory(path); }};
      const std::jthread second{[&] { made[1] = make_directory(path); }};
    }
    CHECK((made[0] && made[1]));
  }
  std::ofstream{temp / "file"} << "";
  CHECK_FALSE(make_directory(temp / "file"));
}

} // namespace file_io_test
