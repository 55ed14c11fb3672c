// How a job comes to its items: what is read before the first of them, and what cannot be read now.
#include "actors/supervisor/reader.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace reader_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;
using Catch::Contains;

namespace {

const Time now = time_from_ns(0) + 1h;

// A source that fails as long as it is told to.
struct FailingSource : MemorySource {
  std::optional<ErrorCode> fails_with;
  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                           std::span<char> into) override {
    if (fails_with) return fail(*fails_with, "read in.jsonl: it cannot be");
    return MemorySource::read(input, offset, into);
  }
};

struct Input {
  FailingSource source;
  JobSpec spec = spec_of();
  InputPosition low;
  std::uint64_t mark = 0;
  std::optional<Reader> reader;
  std::vector<std::uint64_t> ahead; // the items that were found ahead

  explicit Input(std::string text) { source.inputs.push_back(std::move(text)); }

  Reader& open(bool begun = false) {
    reader.emplace(spec, source, low, mark);
    ahead.clear();
    reader->look_ahead(begun, now, [&](intake::Item item) { ahead.push_back(item.ordinal); });
    return *reader;
  }
  // "0 1! 2": the items that are read, `!` = one that cannot become a call.
  std::string rest() {
    std::string all;
    while (const auto item = reader->next(now)->item)
      all += fmt::format("{}{}{}", all.empty() ? "" : " ", item->ordinal,
                         item->bad.empty() ? "" : "!");
    return all;
  }
};

// The place of an item among good lines.
InputPosition at_item(std::uint64_t item) {
  return {0, good_lines(item).size(), item, item};
}

} // namespace

TEST_CASE("a fresh job reads nothing before its first item, and then all in their order") {
  Input input{good_line(0) + "no item\n" + good_line(2)};
  Reader& reader = input.open();
  CHECK(input.ahead.empty());
  CHECK_FALSE(reader.is_proving());
  CHECK_FALSE(reader.is_catching_up());
  CHECK_FALSE(reader.is_at_end());
  CHECK(input.rest() == "0 1! 2");
  CHECK(reader.is_at_end());
  CHECK(reader.position().item == 3);
  CHECK_FALSE(reader.take_failure());
}

TEST_CASE("the good items below the mark are found ahead, and are read again in their turn") {
  const auto [mark, found] = GENERATE(table<std::uint64_t, std::vector<std::uint64_t>>({
      {0, {}},
      {1, {0}},
      {2, {0}}, // the line of item 1 is bad
      {3, {0, 2}},
      {4, {0, 2}}, // the input has become shorter
  }));
  CAPTURE(mark);
  Input input{good_line(0) + "no item\n" + good_line(2)};
  input.mark = mark;
  Reader& reader = input.open(true);
  CHECK(input.ahead == found);
  CHECK(reader.position().item == 0);
  CHECK(reader.is_below_mark() == (mark > 0));
  CHECK(input.rest() == "0 1! 2");
  CHECK_FALSE(reader.take_failure());
}

TEST_CASE("only items from the place on where reading goes on are found ahead") {
  Input input{good_lines(5)};
  input.low = at_item(2);
  input.mark = 4;
  input.open(true);
  CHECK(input.ahead == std::vector<std::uint64_t>{2, 3});
}

TEST_CASE("it catches up until all items below the mark were read, or the input is at its end") {
  const std::uint64_t mark = GENERATE(1u, 2u, 3u, 4u);
  Input input{good_lines(3)};
  input.mark = mark;
  Reader& reader = input.open(true);
  CHECK(reader.catch_up(now)); // no ids stand before the beginning
  for (std::uint64_t read = 0; read <= 3; ++read) {
    CHECK(reader.is_catching_up() == (read < mark));
    CHECK(reader.next(now)->item.has_value() == (read < 3));
  }
  CHECK_FALSE(reader.is_catching_up());
}

TEST_CASE("an id that stands before the place where reading goes on is known again") {
  Input input{good_lines(3) + good_line(1) + good_line(4)};
  input.low = at_item(2);
  Reader& reader = input.open(true);
  CHECK(reader.is_catching_up());
  CHECK(reader.catch_up(now));
  CHECK_FALSE(reader.is_catching_up());
  CHECK(input.rest() == "2 3! 4");
}

TEST_CASE("ids are read a slice at a time") {
  const auto [before, slices] = GENERATE(table<std::uint64_t, int>({
      {Reader::items_per_slice - 1, 1},
      {Reader::items_per_slice, 2}, // the next record says that there is none left
      {Reader::items_per_slice + 1, 2},
      {2 * Reader::items_per_slice - 1, 2},
      {2 * Reader::items_per_slice, 3},
  }));
  CAPTURE(before);
  Input input{good_lines(before + 1)};
  input.low = at_item(before);
  Reader& reader = input.open(true);
  int slice = 1;
  for (; !reader.catch_up(now); ++slice) REQUIRE(slice < 10);
  CHECK(slice == slices);
  CHECK(input.rest() == std::to_string(before));
}

TEST_CASE("a strict job has its whole input read before its first item, a slice at a time") {
  const auto [items, slices] = GENERATE(table<std::uint64_t, int>({
      {0, 1},
      {Reader::items_per_slice - 1, 1},
      {Reader::items_per_slice, 2}, // the end is seen in the next one
      {Reader::items_per_slice + 1, 2},
  }));
  CAPTURE(items);
  Input input{good_lines(items)};
  input.spec.policy.strict = true;
  Reader& reader = input.open();
  int slice = 0;
  while (reader.is_proving()) {
    CHECK(reader.prove(false, now) == (++slice == slices));
    REQUIRE(slice <= slices);
  }
  CHECK(slice == slices);
  CHECK(reader.prove(false, now));
  CHECK(reader.position().item == 0);
  const auto first = reader.next(now);
  REQUIRE(first);
  CHECK(first->item.has_value() == (items > 0));
}

TEST_CASE("a bad line of a strict job fails it, which is told once") {
  Input input{good_line(0) + "no item\n" + "nor this\n"};
  input.spec.policy.strict = true;
  Reader& reader = input.open();
  CHECK_FALSE(reader.prove(false, now));
  CHECK_FALSE(reader.is_proving());
  const auto failure = reader.take_failure();
  REQUIRE(failure);
  CHECK(failure->state == JobState::failed);
  CHECK(failure->reason == JobReason::bad_input);
  CHECK_THAT(failure->sentence, Contains("in-0.jsonl:2: ") && Contains("(--strict)"));
  CHECK_FALSE(reader.take_failure());
}

TEST_CASE("nothing is proved of a job that is not strict, has begun, or is being cancelled") {
  Input input{"no item\n"};
  SECTION("not strict") {
    CHECK_FALSE(input.open().is_proving());
  }
  SECTION("it has begun") {
    input.spec.policy.strict = true;
    CHECK_FALSE(input.open(true).is_proving());
  }
  SECTION("it is being cancelled") {
    input.spec.policy.strict = true;
    CHECK(input.open().is_proving());
    CHECK(input.reader->prove(true, now));
  }
  CHECK(input.reader->prove(false, now));
  CHECK_FALSE(input.reader->take_failure());
  CHECK(input.rest() == "0!");
}

TEST_CASE("for want of descriptors nothing is read for a second, and nothing is missing then") {
  const auto what = GENERATE(as<std::string>{}, "look ahead", "prove", "catch up", "next");
  CAPTURE(what);
  Input input{good_lines(4)};
  input.spec.policy.strict = what == "prove";
  if (what == "catch up") input.low = at_item(2);
  if (what == "look ahead") input.mark = 2;
  const auto busy = [&](bool is_so) {
    input.source.fails_with = is_so ? std::optional{ErrorCode::unavailable} : std::nullopt;
  };
  busy(what == "look ahead");
  Reader& reader = input.open(input.mark > 0);
  busy(true);
  if (what == "prove") CHECK_FALSE(reader.prove(false, now));
  if (what == "catch up") CHECK_FALSE(reader.catch_up(now));
  if (what == "next") CHECK_FALSE(reader.next(now));
  CHECK_THAT(reader.must_wait(), Contains("it cannot be"));
  CHECK_FALSE(reader.take_failure());
  CHECK_FALSE(reader.is_at_end());
  CHECK(reader.read_again_at() == now + 1s);
  CHECK_FALSE(reader.may_try(now + 1s - 1ns));
  CHECK_FALSE(reader.must_wait().empty());
  CHECK(reader.may_try(now + 1s));
  CHECK(reader.must_wait().empty());
  busy(false);
  CHECK(reader.prove(false, now));
  CHECK(reader.catch_up(now));
  CHECK(input.rest() == (what == "catch up" ? "2 3" : "0 1 2 3"));
}

TEST_CASE("an input that cannot be read fails the job, which is told once") {
  const auto [code, reason] = GENERATE(table<ErrorCode, JobReason>({
      {ErrorCode::io, JobReason::input},
      {ErrorCode::disk_full, JobReason::disk}, // of the pages that remember ids
  }));
  const auto what = GENERATE(as<std::string>{}, "look ahead", "prove", "catch up", "next");
  CAPTURE(what);
  Input input{good_lines(4)};
  input.spec.policy.strict = true;
  if (what == "catch up") input.low = at_item(2);
  if (what == "look ahead") input.mark = 2;
  if (what == "look ahead") input.source.fails_with = code;
  Reader& reader = input.open(input.mark > 0);
  input.source.fails_with = code;
  if (what == "prove") CHECK_FALSE(reader.prove(false, now));
  if (what == "catch up") CHECK_FALSE(reader.catch_up(now));
  if (what == "next") CHECK_FALSE(reader.next(now));
  CHECK(reader.must_wait().empty());
  const auto failure = reader.take_failure();
  REQUIRE(failure);
  CHECK(failure->state == JobState::failed);
  CHECK(failure->reason == reason);
  CHECK(failure->sentence == "read in.jsonl: it cannot be");
  CHECK_FALSE(reader.take_failure());
}

TEST_CASE("an item is read again from its place; only for want of descriptors all others wait") {
  Input input{good_lines(2)};
  Reader& reader = input.open();
  const auto item = reader.next(now)->item;
  REQUIRE(item);
  CHECK(reader.read_again(item->place, now).value() + "\n" == good_line(0));
  SECTION("there is no descriptor for a call that must be made") {
    input.source.fails_with = ErrorCode::unavailable;
    CHECK_FALSE(reader.read_again(item->place, now));
    CHECK(reader.read_again_at() == now + 1s);
    CHECK_FALSE(reader.must_wait().empty());
  }
  SECTION("… for one that need not be made") {
    input.source.fails_with = ErrorCode::unavailable;
    CHECK_FALSE(reader.read_if_possible(item->place));
    CHECK(reader.must_wait().empty());
  }
  SECTION("the input has changed: that is the item's end, not the job's") {
    input.source.inputs[0].resize(3);
    CHECK_FALSE(reader.read_again(item->place, now));
    CHECK(reader.must_wait().empty());
  }
  CHECK_FALSE(reader.take_failure());
}

TEST_CASE("an item may be in the input until reading has come to the end without it") {
  Input input{good_lines(2)};
  Reader& reader = input.open();
  CHECK(reader.is_in_input(1'000));
  input.rest();
  CHECK(reader.is_in_input(1));
  CHECK_FALSE(reader.is_in_input(2));
}

TEST_CASE("an input with fewer items than have results is another one, once all is read") {
  const auto [items, lacks] =
      GENERATE(table<std::uint64_t, bool>({{0, false}, {1, false}, {2, false}, {3, true}}));
  CAPTURE(items);
  Input input{good_lines(2)};
  Reader& reader = input.open();
  CHECK_FALSE(reader.lacks(items));
  input.rest();
  const auto failure = reader.lacks(items);
  REQUIRE(failure.has_value() == lacks);
  if (!lacks) return;
  CHECK(failure->state == JobState::failed);
  CHECK(failure->reason == JobReason::input);
  CHECK_THAT(failure->sentence, Catch::Contains("with 3 items or more, got 2 of them"));
}

} // namespace reader_test
