// One input cut into lines, whatever the reads are and however long a line is.
#include "actors/intake/line_reader.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace line_reader_test {

using namespace gristmill;
using namespace gristmill::intake;
using supervisor_test::MemorySource;

namespace {

struct Seen {
  std::string text;
  std::uint64_t offset = 0, bytes = 0;
  bool too_long = false;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> lines_of(MemorySource& source, std::uint64_t bytes_max, std::uint64_t from = 0) {
  LineReader reader{source, 0, from, bytes_max};
  std::vector<Seen> seen;
  for (;;) {
    const auto line = reader.next();
    REQUIRE(line);
    if (!*line) break;
    seen.push_back(
        {std::string{(*line)->text}, (*line)->offset, (*line)->bytes, (*line)->too_long});
    // Whatever follows can be read from here.
    REQUIRE(reader.position() > (*line)->offset);
  }
  REQUIRE(reader.position() == source.inputs[0].size());
  return seen;
}

std::vector<Seen> lines_of(std::string text, std::uint64_t bytes_max = 100) {
  MemorySource source;
  source.inputs = {std::move(text)};
  source.read_max = GENERATE(1, 3, 1'000'000);
  return lines_of(source, bytes_max);
}

} // namespace

TEST_CASE("a line ends at its newline, with or without a carriage return, or at the end") {
  CHECK(lines_of("").empty());
  CHECK(lines_of("a") == std::vector<Seen>{{"a", 0, 1}});
  CHECK(lines_of("a\n") == std::vector<Seen>{{"a", 0, 1}});
  CHECK(lines_of("ab\n\nc") == std::vector<Seen>{{"ab", 0, 2}, {"", 3, 0}, {"c", 4, 1}});
  CHECK(lines_of("\n") == std::vector<Seen>{{"", 0, 0}});
  const auto windows = lines_of("a\r\nb\r");
  REQUIRE(windows.size() == 2);
  CHECK(windows[0].text == "a");
  CHECK(windows[1].text == "b");
  CHECK(windows[1].offset == 3);
}

TEST_CASE("a line may be as long as the limit and no longer") {
  const auto [bytes, end, too_long] = GENERATE(table<std::size_t, std::string, bool>({
      {9, "\n", false},
      {10, "\n", false},
      {11, "\n", true},
      {9, "", false},
      {10, "", false},
      {11, "", true},
      {10, "\r\n", false},
      {11, "\r\n", true},
  }));
  CAPTURE(bytes, end);
  const auto seen = lines_of(std::string(bytes, 'x') + end, 10);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].too_long == too_long);
  CHECK(seen[0].text.size() == (too_long ? 10 : bytes)); // of a long one the beginning
}

TEST_CASE("a line that is too long is skipped, with its length, and the next one is read") {
  const std::size_t bytes = GENERATE(11, 100, 262'143, 262'144, 262'145, 1'000'000);
  CAPTURE(bytes);
  MemorySource source;
  source.inputs = {"first\n" + std::string(bytes, 'x') + "\nlast\n"};
  const auto seen = lines_of(source, 10);
  REQUIRE(seen.size() == 3);
  CHECK(seen[1] == Seen{std::string(10, 'x'), 6, bytes, true}); // its beginning
  CHECK(seen[2] == Seen{"last", 6 + bytes + 1, 4});
}

TEST_CASE("reading goes on from any position that a reader had") {
  Random random{3};
  std::string text;
  for (int i = 0; i < 200; ++i) text += std::string(random.below(30), 'a') + "\n";
  MemorySource source;
  source.inputs = {text};
  const auto whole = lines_of(source, 20);
  for (std::size_t first = 0; first < whole.size(); ++first) {
    const auto rest = lines_of(source, 20, whole[first].offset);
    REQUIRE(rest ==
            std::vector<Seen>(whole.begin() + static_cast<std::ptrdiff_t>(first), whole.end()));
  }
}

TEST_CASE("a read that fails is an error and not the end of the input") {
  MemorySource source;
  source.inputs = {"a\n"};
  source.broken = true;
  LineReader reader{source, 0, 0, 10};
  const auto line = reader.next();
  REQUIRE_FALSE(line);
  CHECK(line.error().code == ErrorCode::io);
}

} // namespace line_reader_test
