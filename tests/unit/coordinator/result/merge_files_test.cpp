#include "tests/unit/coordinator/result/merge_files_harness.hpp"

#include "actors/kit/random.hpp"

namespace merge_files_test {

using namespace gristmill;
using namespace gristmill::merger_test;

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

TEST_CASE("many segments are merged with few of them open") {
  const Disk disk{400, 100};
  const auto descriptors = [] {
    return std::distance(fs::directory_iterator{"/proc/self/fd"}, fs::directory_iterator{});
  };
  const auto before = descriptors();
  for (const ResultOrder order : {ResultOrder::input, ResultOrder::completion}) {
    auto files = disk.open();
    CHECK(run(*files, task_of(400, order)).failure == "");
    CHECK(descriptors() <= before + 40);
  }
  CHECK(descriptors() == before);
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
  for (const std::uint64_t never : {1'500'000u, 3'999'999'999u})
    CHECK(files->place_of(never)->bytes == 0);
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
  for (std::uint64_t item = 0; item < 1'000'000; item += 100)
    REQUIRE(files->place_of(item)->bytes == 0);
}

} // namespace merge_files_test
