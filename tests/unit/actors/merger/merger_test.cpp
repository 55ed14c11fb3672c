#include "tests/unit/actors/merger/merger_harness.hpp"

#include "actors/kit/random.hpp"
#include "protocol/limits.hpp"

#include <numeric>

namespace merger_test {

using namespace gristmill;
using namespace gristmill::merger_test;

namespace {

std::vector<std::uint64_t> shuffled(std::uint64_t count, std::uint64_t seed) {
  std::vector<std::uint64_t> items(count);
  std::iota(items.begin(), items.end(), 0u);
  Random random{seed};
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
  return items;
}

std::string lines_of(const std::vector<std::uint64_t>& items) {
  std::string text;
  for (const auto item : items) text += line_of(item);
  return text;
}

std::string in_order(std::uint64_t count) {
  std::string text;
  for (std::uint64_t item = 0; item < count; ++item) text += line_of(item);
  return text;
}

// The lines of `items`, dealt to some segments.
MemoryFiles dealt(const std::vector<std::uint64_t>& items, std::size_t segments) {
  MemoryFiles files;
  files.segments.resize(segments);
  for (std::size_t i = 0; i < items.size(); ++i)
    files.segments[i * segments / items.size()] += line_of(items[i]);
  return files;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE("lines of several segments come out in the order of the input") {
  MemoryFiles files = dealt(shuffled(1'000, 1), 5);
  const MergeStep step = run(files, task_of(1'000));
  CHECK(step.failure == "");
  REQUIRE(step.done);
  CHECK(files.output == in_order(1'000));
  CHECK(step.file.lines == 1'000);
  CHECK(step.file.sha256 == "5ha");
}

TEST_CASE("the size of a slice does not change a byte of result and summary") {
  const auto items = shuffled(120, 2);
  for (const ResultOrder order : {ResultOrder::input, ResultOrder::completion}) {
    MemoryFiles whole = dealt(items, 3);
    run(whole, task_of(120, order));
    for (const std::size_t slice_bytes : {1u, 100u, 400u, 401u, 1'000u, 5'000u, 20'000u}) {
      MemoryFiles files = dealt(items, 3);
      const MergeStep step = run(files, task_of(120, order), slice_bytes);
      CHECK(step.failure == "");
      CHECK(files.output == whole.output);
      CHECK(files.summary == whole.summary);
    }
  }
}

TEST_CASE("a step reads no more than its slice and a line") {
  MemoryFiles files = dealt(shuffled(2'000, 3), 2);
  const std::size_t slice_bytes = 300'000;
  CHECK(run(files, task_of(2'000), slice_bytes).done);
  CHECK(files.longest_read <= slice_bytes);
}

TEST_CASE("lines far apart are not read with what lies between them") {
  const std::string first_try = line_of(1, answer(std::string(100'000, 'x')));
  MemoryFiles files{{line_of(0) + first_try + line_of(2) + line_of(1)}};
  CHECK(run(files, task_of(3)).failure == "");
  CHECK(files.output == in_order(3));
  CHECK(files.bytes_read == files.segments[0].size() + files.output.size());
}

TEST_CASE("a line that is longer than a slice is merged like any other") {
  const std::string big = line_of(1, answer(std::string(50'000, 'x')));
  MemoryFiles files{{line_of(2) + big, line_of(0)}};
  CHECK(run(files, task_of(3), 64).failure == "");
  CHECK(files.output == line_of(0) + big + line_of(2));
}

TEST_CASE("the line that came last is the item's result, wherever the earlier ones lie") {
  const std::string again = line_of(1, answer("second generation"));
  const std::string failed = line_of(1, own_error("timeout", "no answer in 600 s"));
  for (const ResultOrder order : {ResultOrder::input, ResultOrder::completion}) {
    MemoryFiles same{{line_of(0) + failed + again + line_of(2)}};
    MemoryFiles apart{{line_of(0) + failed, line_of(2), again}};
    CHECK(run(same, task_of(3, order)).failure == "");
    CHECK(same.output == line_of(0) + again + line_of(2));
    CHECK(run(apart, task_of(3, order)).failure == "");
    CHECK(apart.output.size() == same.output.size());
    CHECK_FALSE(contains(apart.output, "timeout"));
    CHECK(nlohmann::json::parse(apart.summary)["errors"].empty());
  }
}

TEST_CASE("in the order of completion lines stay as they came") {
  const auto items = shuffled(200, 4);
  MemoryFiles files = dealt(items, 3);
  CHECK(run(files, task_of(200, ResultOrder::completion)).failure == "");
  CHECK(files.output == lines_of(items));
}

TEST_CASE("an item without a line is named and no result appears") {
  for (const ResultOrder order : {ResultOrder::input, ResultOrder::completion}) {
    MemoryFiles files{{line_of(0) + line_of(3), line_of(1)}};
    const MergeStep step = run(files, task_of(4, order));
    CHECK_FALSE(step.done);
    CHECK(contains(step.failure, "item 2 has no line in the 2 segments of job-7"));
    CHECK(contains(step.failure, "3 of 4 items"));
    CHECK_FALSE(files.finished);
  }
}

TEST_CASE("a second line of one item does not make up for a missing item") {
  MemoryFiles files{{line_of(0) + line_of(0)}};
  CHECK(contains(run(files, task_of(2)).failure, "item 1 has no line"));
}

TEST_CASE("a damaged line is a failure that names segment and offset") {
  const std::string first = line_of(0);
  MemoryFiles files{{line_of(1), first + line_of(2)}};
  files.segments[1][first.size() + 30] ^= 1;
  const MergeStep step = run(files, task_of(3));
  CHECK_FALSE(step.done);
  CHECK(contains(step.failure, fmt::format("segment 2 of 2, offset {}", first.size())));
  CHECK(contains(step.failure, "CRC"));
  CHECK_FALSE(files.finished);
}

TEST_CASE("a failed merge stays failed and a new one may succeed") {
  MemoryFiles files = dealt(shuffled(40, 5), 2);
  MemoryFiles whole = files;
  run(whole, task_of(40));
  int failures = 0;
  for (std::uint64_t calls = 0;; ++calls) {
    MemoryFiles failing = files;
    failing.calls_left = calls;
    Merger merger{task_of(40), failing, 1'000};
    MergeStep step;
    while (!step.done && step.failure.empty()) step = merger.step();
    if (step.done) break;
    ++failures;
    REQUIRE(step.failure == "write OUT.part: no space");
    REQUIRE(merger.step().failure == step.failure);
    MemoryFiles again = files;
    if (calls % 16 == 0) REQUIRE(run(again, task_of(40)).done);
    if (calls % 16 == 0) REQUIRE(again.output == whole.output);
  }
  CHECK(failures > 100);
}

TEST_CASE("what follows the durable bytes of a segment is not read") {
  const std::string first = line_of(0), second = line_of(1);
  MemoryFiles files{{first + "{\"id\":\"batch_req_7_1\",\"cust", second + line_of(0)}};
  files.durable = {first.size(), second.size()};
  CHECK(run(files, task_of(2)).failure == "");
  CHECK(files.output == first + second);
}

TEST_CASE("durable bytes that end within a line are a failure") {
  MemoryFiles files{{line_of(0) + line_of(1)}};
  files.durable = {files.segments[0].size() - 1};
  const MergeStep step = run(files, task_of(2), 100);
  CHECK(contains(step.failure, fmt::format("segment 1 of 1, offset {}", line_of(0).size())));
  CHECK(contains(step.failure, "without its end"));
}

TEST_CASE("bytes without any line end are given up before they fill the memory") {
  MemoryFiles files{{std::string(64u << 20, 'x') + "\n"}};
  CHECK(contains(run(files, task_of(1)).failure, "without its end"));
  CHECK(files.longest_read <= 2 * limits::frame_bytes_max);
}

TEST_CASE("a line of an item that the job does not have is a failure") {
  MemoryFiles files{{line_of(0) + line_of(5)}};
  CHECK(contains(run(files, task_of(1)).failure, "of the 1 items of job-7, got one of item 5"));
}

TEST_CASE("one item is merged, and none") {
  for (const ResultOrder order : {ResultOrder::input, ResultOrder::completion}) {
    MemoryFiles one{{line_of(0)}};
    CHECK(run(one, task_of(1, order)).failure == "");
    CHECK(one.output == line_of(0));
    for (MemoryFiles none : {MemoryFiles{}, MemoryFiles{{""}}}) {
      const MergeStep step = run(none, task_of(0, order));
      CHECK(step.done);
      CHECK(none.finished);
      CHECK(none.output.empty());
    }
  }
}

TEST_CASE("steps after the end say the same again and write nothing") {
  MemoryFiles files{{line_of(0)}};
  Merger merger{task_of(1), files};
  MergeStep step;
  while (!(step = merger.step()).done) REQUIRE(step.failure == "");
  files.summary.clear();
  const MergeStep again = merger.step();
  CHECK(again.done);
  CHECK(again.summary == step.summary);
  CHECK(files.summary.empty());
  CHECK(files.part == line_of(0));
}

} // namespace merger_test
