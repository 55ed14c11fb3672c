#include "coordinator/merge_files.hpp"
#include "tests/unit/merger_harness.hpp"

#include "actors/kit/random.hpp"
#include "coordinator/state_directory.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::merger_test;

namespace fs = std::filesystem;

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A job's directory with segments, and a directory for its result.
struct Disk {
  std::string root;
  std::vector<journal::Segment> segments;
  std::uint64_t items;

  // The answers of `count` items, somewhat out of order, in `files` segments with torn tails.
  explicit Disk(std::uint64_t count, std::size_t files = 3) : items{count} {
    std::string name = (fs::current_path() / "merge_files_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    root = name;
    fs::create_directories(root + "/job");
    fs::create_directories(root + "/out");
    std::vector<std::string> texts(files);
    for (std::uint64_t i = 0; i < count; ++i)
      texts[i * files / count] += line_of(i - i % 50 + std::min(50 - 1 - i % 50, count - 1));
    for (std::size_t n = 0; n < files; ++n) {
      segments.push_back({fmt::format("{}/job/results-{:06}.jsonl", root, n + 1), texts[n].size()});
      std::ofstream{segments.back().path} << texts[n] << "{\"id\":\"batch_req_7_1\",\"cus";
    }
  }
  ~Disk() {
    std::error_code ignored;
    fs::remove_all(root, ignored);
  }
  Disk(const Disk&) = delete;

  std::string output() const { return root + "/out/result.jsonl"; }
  std::string summary() const { return output() + ".summary.json"; }
  MergeFilesOptions options() const { return {segments, output(), root + "/job", {}}; }
  std::unique_ptr<DiskMergeFiles> open() const { return open(options()); }
  std::unique_ptr<DiskMergeFiles> open(MergeFilesOptions with) const {
    auto files = DiskMergeFiles::open(std::move(with));
    if (!files) FAIL(files.error().message);
    return std::move(*files);
  }
  std::vector<std::string> names(const std::string& directory) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator{root + "/" + directory})
      found.push_back(entry.path().filename().string());
    std::ranges::sort(found);
    return found;
  }
};

// Passes calls on until it ends the process, as a kill would.
struct DyingFiles : MergeFiles {
  MergeFiles& files;
  std::uint64_t calls_left;
  DyingFiles(MergeFiles& f, std::uint64_t calls) : files{f}, calls_left{calls} {}

  MergeFiles& call() {
    if (calls_left-- == 0) ::_exit(9);
    return files;
  }
  std::size_t segment_count() const override { return files.segment_count(); }
  std::uint64_t segment_bytes(std::size_t segment) const override {
    return files.segment_bytes(segment);
  }
  Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) override {
    return call().read(segment, offset, into);
  }
  Result<> put_place(std::uint64_t item, LinePlace place) override {
    return call().put_place(item, place);
  }
  Result<LinePlace> place_of(std::uint64_t item) override { return call().place_of(item); }
  Result<> write(std::string_view bytes) override { return call().write(bytes); }
  Result<FinalFile> finish() override { return call().finish(); }
  Result<> write_summary(std::string_view json) override { return call().write_summary(json); }
};

// Merges in a process of its own; true when it came to the end.
template <class Merge>
bool in_a_process(Merge merge) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(merge() ? 0 : 9);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status) == 0;
}

// A merge that is killed before its n-th call; the process had no time to clean up.
bool merge_until_call(const Disk& disk, std::uint64_t calls, MergeFilesOptions options) {
  return in_a_process([&] {
    auto files = DiskMergeFiles::open(std::move(options));
    if (!files) return false;
    DyingFiles dying{**files, calls};
    Merger merger{task_of(disk.items), dying, 2'000};
    MergeStep step;
    while (!step.done && step.failure.empty()) step = merger.step();
    return step.done;
  });
}

} // namespace

TEST_CASE("the result and its summary appear under their names, and nothing else is left") {
  const Disk disk{2'000};
  const MergeStep step = run(*disk.open(), task_of(2'000));
  REQUIRE(step.failure == "");
  const std::string result = text_of(disk.output());
  std::string expected;
  for (std::uint64_t item = 0; item < 2'000; ++item) expected += line_of(item);
  CHECK(result == expected);
  CHECK(step.file.path == disk.output());
  CHECK(step.file.bytes == result.size());
  CHECK(step.file.lines == 2'000);
  CHECK(text_of(disk.summary()) == step.summary);
  CHECK(disk.names("out") == std::vector<std::string>{"result.jsonl", "result.jsonl.summary.json"});
  CHECK(disk.names("job").size() == disk.segments.size());
}

TEST_CASE("the digest is the SHA-256 of the file's bytes") {
  Disk disk{1, 1};
  auto files = disk.open();
  REQUIRE(files->write("ab"));
  REQUIRE(files->write("c"));
  const auto file = files->finish();
  REQUIRE(file);
  CHECK(file->sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(file->lines == 0);
  CHECK(text_of(disk.output()) == "abc");
}

TEST_CASE("writes of every size arrive in their order") {
  Disk disk{1, 1};
  auto files = disk.open();
  std::string expected;
  for (const std::size_t size : {1u, 700'000u, 400'000u, 3'000'000u, 0u, 5u, 1'048'576u, 1u}) {
    const std::string bytes(size, static_cast<char>('a' + expected.size() % 26));
    REQUIRE(files->write(bytes));
    expected += bytes;
  }
  const auto file = files->finish();
  REQUIRE(file);
  CHECK(file->bytes == expected.size());
  CHECK((text_of(disk.output()) == expected));
}

TEST_CASE("a merge killed at any call and begun anew gives the same bytes") {
  const Disk disk{150};
  const auto merge_whole = [&] { return merge_until_call(disk, ~std::uint64_t{0}, disk.options()); };
  REQUIRE(merge_whole());
  const std::string result = text_of(disk.output()), summary = text_of(disk.summary());
  int kills = 0;
  for (std::uint64_t calls = 0;; calls += 7) {
    fs::remove(disk.output());
    fs::remove(disk.summary());
    if (merge_until_call(disk, calls, disk.options())) break;
    ++kills;
    const std::string seen = text_of(disk.output());
    REQUIRE((seen.empty() || seen == result));
    REQUIRE(merge_whole());
    REQUIRE((text_of(disk.output()) == result));
    REQUIRE((text_of(disk.summary()) == summary));
    REQUIRE(disk.names("out").size() == 2);
  }
  CHECK(kills > 50);
}

TEST_CASE("a merge killed between the steps of finishing never shows half a result") {
  const Disk disk{150};
  for (int kill_at = 0; kill_at < 4; ++kill_at) {
    MergeFilesOptions options = disk.options();
    int left = kill_at;
    const auto die = [&left] {
      if (left-- == 0) ::_exit(9);
    };
    options.calls.write = [&](int fd, const void* bytes, std::size_t size) {
      die();
      return ::write(fd, bytes, size);
    };
    options.calls.fsync = [&](int fd) {
      die();
      return ::fsync(fd);
    };
    std::ofstream{disk.output()} << "older";
    CHECK_FALSE(merge_until_call(disk, ~std::uint64_t{0}, options));
    const std::string seen = text_of(disk.output());
    CHECK((kill_at < 2 ? seen == "older" : seen.size() == disk.segments[0].bytes +
                                                              disk.segments[1].bytes +
                                                              disk.segments[2].bytes));
  }
  CHECK(run(*disk.open(), task_of(150)).done);
}

TEST_CASE("an older result stays until the new one is whole") {
  const Disk disk{100};
  std::ofstream{disk.output()} << "older";
  auto files = disk.open();
  Merger merger{task_of(100), *files, 10'000};
  while (!merger.step().done) {
    const std::string seen = text_of(disk.output());
    REQUIRE((seen == "older" || seen.size() > 10'000));
  }
  CHECK(text_of(disk.output()).starts_with(line_of(0)));
}

TEST_CASE("a full disk and a broken one are sentences, and leave no part") {
  const Disk disk{100};
  for (const int reason : {ENOSPC, EIO}) {
    MergeFilesOptions options = disk.options();
    options.calls.write = [reason](int, const void*, std::size_t) {
      errno = reason;
      return ssize_t{-1};
    };
    {
      auto files = disk.open(options);
      const MergeStep step = run(*files, task_of(100));
      CHECK_FALSE(step.done);
      CHECK(step.failure.starts_with("write " + disk.output() + ".part: "));
      CHECK((step.failure.find("free some space") != std::string::npos) == (reason == ENOSPC));
    }
    CHECK(disk.names("out").empty());
  }
  MergeFilesOptions options = disk.options();
  options.calls.fsync = [](int) {
    errno = ENOSPC;
    return -1;
  };
  auto files = disk.open(options);
  CHECK(run(*files, task_of(100)).failure.starts_with("fsync "));
  CHECK_FALSE(fs::exists(disk.output()));
}

TEST_CASE("short writes are completed") {
  const Disk disk{100};
  MergeFilesOptions options = disk.options();
  options.calls.write = [](int fd, const void* bytes, std::size_t size) {
    return ::write(fd, bytes, std::min<std::size_t>(size, 1'000));
  };
  CHECK(run(*disk.open(options), task_of(100)).done);
  const std::string slowly = text_of(disk.output());
  CHECK(run(*disk.open(), task_of(100)).done);
  CHECK((text_of(disk.output()) == slowly));
}

TEST_CASE("a failed merge that ends late does not remove the part of the next") {
  const Disk disk{100};
  auto failed = disk.open();
  auto next = disk.open();
  failed.reset();
  CHECK(run(*next, task_of(100)).failure == "");
}

TEST_CASE("an output that cannot be written is refused before the work") {
  const Disk disk{1, 1};
  const auto refusal = [&](const std::string& output) {
    MergeFilesOptions options = disk.options();
    options.output = output;
    const auto files = DiskMergeFiles::open(options);
    REQUIRE_FALSE(files);
    return files.error();
  };
  const Error missing = refusal(disk.root + "/nowhere/result.jsonl");
  CHECK(missing.code == ErrorCode::io);
  CHECK(missing.message == fmt::format("create {0}/nowhere/result.jsonl.part: No such file or "
                                       "directory: expected {0}/nowhere to be a directory that can "
                                       "be written; make it so, or name another output",
                                       disk.root));
  CHECK(refusal(disk.segments[0].path + "/x").code == ErrorCode::io);
  CHECK(refusal(disk.root + "/out").code == ErrorCode::usage);
  CHECK(refusal("/dev/null").code == ErrorCode::usage);
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("a segment that is gone or shorter than promised is a failure that names it") {
  Disk disk{100};
  fs::resize_file(disk.segments[1].path, disk.segments[1].bytes - 5);
  const std::string cut = run(*disk.open(), task_of(100)).failure;
  CHECK(cut.find(disk.segments[1].path) != cut.npos);
  CHECK(cut.find("lost acknowledged data") != cut.npos);
  fs::remove(disk.segments[0].path);
  CHECK(run(*disk.open(), task_of(100)).failure.starts_with("open " + disk.segments[0].path));
}

TEST_CASE("more segments than may be open at once are merged") {
  const Disk disk{400, 100};
  CHECK(run(*disk.open(), task_of(400)).failure == "");
  CHECK(run(*disk.open(), task_of(400, "completion")).failure == "");
}

TEST_CASE("the place index keeps scattered items through a cache that is smaller") {
  const Disk disk{1, 1};
  auto files = disk.open();
  std::map<std::uint64_t, LinePlace> expected;
  Random random{17};
  for (std::uint32_t n = 1; n <= 20'000; ++n) {
    // Pages that share a seat, a distant one, and an item that is written again.
    const std::uint64_t item = random.below(4) * 262'144 + random.below(5'000) * 97 +
                               (random.chance(0.05) ? 1'000'000'000 : 0);
    const LinePlace place{n % 7, n, random.next()};
    REQUIRE(files->put_place(item, place));
    expected[item] = place;
  }
  for (const auto& [item, place] : expected) {
    const auto got = files->place_of(item);
    REQUIRE(got);
    REQUIRE((got->segment == place.segment && got->bytes == place.bytes &&
             got->offset == place.offset));
  }
  for (const std::uint64_t never : {1'500'000u, 3'999'999'999u}) CHECK(files->place_of(never)->bytes == 0);
}

TEST_CASE("the index of an earlier merge is not seen by the next") {
  const Disk disk{1, 1};
  std::ofstream{disk.root + "/job/merge.index"} << std::string(8'192, 'x');
  CHECK(disk.open()->place_of(3)->bytes == 0);
  {
    auto files = disk.open();
    for (std::uint64_t item = 0; item < 1'000'000; item += 100)
      REQUIRE(files->put_place(item, {1, 2, 3}));
  }
  auto files = disk.open();
  for (std::uint64_t item = 0; item < 1'000'000; item += 100) REQUIRE(files->place_of(item)->bytes == 0);
}
