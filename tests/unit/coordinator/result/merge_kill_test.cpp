#include "tests/unit/coordinator/result/merge_files_harness.hpp"

#include <sys/wait.h>

namespace merge_kill_test {

using namespace gristmill;
using namespace gristmill::merger_test;

namespace {

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
  Result<> write_ids(std::string_view bytes) override { return call().write_ids(bytes); }
  Result<FinalFile> finish() override { return call().finish(); }
  Result<> write_summary(std::string_view json) override { return call().write_summary(json); }
};

// Merges in a process of its own; true when it came to the end.
template <class Merge> bool in_a_process(Merge merge) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(merge() ? 0 : 9);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status) == 0;
}

// A merge that is killed before its n-th call; the process had no time to clean up.
bool merge_until_call(const Disk& disk, std::uint64_t calls, MergeFilesOptions options,
                      Task task = Task::chat) {
  return in_a_process([&] {
    auto files = DiskMergeFiles::open(options);
    if (!files) return false;
    DyingFiles dying{**files, calls};
    MergeTask merge = task_of(disk.items);
    merge.spec.shape.task = task;
    merge.spec.output = options.output;
    Merger merger{merge, dying, 2'000};
    MergeStep step;
    while (!step.done && step.failure.empty()) step = merger.step();
    return step.done;
  });
}

} // namespace

TEST_CASE("a merge killed at any call and begun anew gives the same bytes") {
  const Disk disk{150};
  const auto merge_whole = [&] {
    return merge_until_call(disk, ~std::uint64_t{0}, disk.options());
  };
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

// Compressed, or an array with the names of its rows: a kill changes no byte of any file.
TEST_CASE("a killed merge of every form gives the same bytes when it is begun anew") {
  const std::string name = GENERATE("r.jsonl.gz", "r.jsonl.zst", "r.npy");
  Disk disk{150};
  if (name == "r.npy") disk.embed();
  MergeFilesOptions options = disk.options();
  options.output = disk.root + "/out/" + name;
  const auto merge = [&](std::uint64_t calls) {
    return merge_until_call(disk, calls, options, name == "r.npy" ? Task::embed : Task::chat);
  };
  REQUIRE(merge(~std::uint64_t{0}));
  const auto files = disk.names("out");
  CHECK(files.size() == (name == "r.npy" ? 3 : 2));
  std::map<std::string, std::string> whole;
  for (const auto& file : files) whole[file] = text_of(disk.root + "/out/" + file);
  for (std::uint64_t calls = 0;; calls += 31) {
    for (const auto& file : files) fs::remove(disk.root + "/out/" + file);
    if (merge(calls)) break;
    REQUIRE(merge(~std::uint64_t{0}));
    REQUIRE(disk.names("out") == files);
    for (const auto& file : files) REQUIRE((text_of(disk.root + "/out/" + file) == whole[file]));
  }
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
    CHECK((kill_at < 2 ? seen == "older"
                       : seen.size() == disk.segments[0].bytes + disk.segments[1].bytes +
                                            disk.segments[2].bytes));
  }
  CHECK(run(*disk.open(), task_of(150)).done);
}

TEST_CASE("an older result stays until the new one is whole") {
  const Disk disk{100};
  std::ofstream{disk.output()} << "older";
  auto files = disk.open();
  Merger merger{task_of(100), *files, 10'000};
  for (MergeStep step; !step.done; step = merger.step()) {
    REQUIRE(step.failure == "");
    const std::string seen = text_of(disk.output());
    REQUIRE((seen == "older" || seen.size() > 10'000));
  }
  CHECK(text_of(disk.output()).starts_with(line_of(0)));
}

} // namespace merge_kill_test
