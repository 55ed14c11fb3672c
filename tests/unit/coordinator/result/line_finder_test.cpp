// Finding an item's line in segments: by id and by number, the last one, and no other's.
#include "coordinator/result/line_finder.hpp"

#include "coordinator/journal/segment_files.hpp"
#include "protocol/ids.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace line_finder_test {

using namespace gristmill;
using namespace gristmill::store_test;
using coordinator::find_line;
using coordinator::LineWanted;
using coordinator::SegmentFiles;

namespace {

std::string line_of(std::uint32_t job, std::uint64_t item, std::string_view id,
                    std::string body = "{}") {
  protocol::Outcome outcome;
  outcome.http_status = 200;
  outcome.body = std::move(body);
  openai::Provenance about;
  about.item = item;
  return openai::result_line(JobId{job}, id, outcome, about);
}

// The segments of a job on disk.
struct Segments {
  TempDirectory temp;
  std::vector<coordinator::StoredSegment> known;

  Segments& add(const std::vector<std::string>& lines) {
    const auto number = static_cast<std::uint32_t>(known.size() + 1);
    for (const std::string& line : lines) append_to(path_of(number), line + "\n");
    known.push_back({number, std::filesystem::file_size(path_of(number))});
    return *this;
  }
  std::string path_of(std::uint32_t number) const {
    return coordinator::segment_path(temp / "", number);
  }
  SegmentFiles files() const { return {temp / "", known}; }
  // Where the line is, as "SEGMENT:OFFSET".
  std::string place_of(const LineWanted& wanted, std::size_t piece = 1u << 20) const {
    SegmentFiles lines = files();
    const auto found = find_line(lines, wanted, piece);
    REQUIRE(found);
    if (!*found) return "none";
    CHECK(content_of((*found)->place).substr((*found)->offset, (*found)->line.size() + 1) ==
          (*found)->line + "\n");
    for (std::size_t n = 0; n < known.size(); ++n)
      if (lines.place_of(n) == (*found)->place) return fmt::format("{}:{}", n, (*found)->offset);
    return "elsewhere";
  }
};

} // namespace

TEST_CASE("a line is found by its item's id and by its number, and the last one holds",
          "[explain]") {
  const std::string a = line_of(7, 0, "a"), quoted = line_of(7, 1, "say \"b\"\n"),
                    again = line_of(7, 0, "a", R"({"n":2})"), ten = line_of(7, 10, "a1");
  Segments segments;
  segments.add({a, quoted, again}).add({ten});
  // However the lines are cut by the pieces that are read.
  for (const std::size_t piece : {std::size_t{1}, a.size(), a.size() + 1, std::size_t{1} << 20}) {
    CAPTURE(piece);
    const auto place_of = [&](const LineWanted& wanted) {
      return segments.place_of(wanted, piece);
    };
    const std::string last = fmt::format("0:{}", a.size() + quoted.size() + 2);
    CHECK(place_of({JobId{7}, "a", 0}) == last);
    CHECK(place_of({JobId{7}, "", 0}) == last);
    CHECK(place_of({JobId{7}, "say \"b\"\n", 0}) == fmt::format("0:{}", a.size() + 1));
    CHECK(place_of({JobId{7}, "", 10}) == "1:0");
    CHECK(place_of({JobId{7}, "a1", 0}) == "1:0");
    CHECK(place_of({JobId{7}, "", 2}) == "none");
    CHECK(place_of({JobId{7}, "b", 0}) == "none");
    CHECK(place_of({JobId{70}, "a", 0}) == "none");
  }
  CHECK(Segments{}.place_of({JobId{7}, "a", 0}) == "none");
}

TEST_CASE("a line that ends with a piece, just before it or just after is found whole",
          "[explain]") {
  const std::string a = line_of(7, 0, "a"), b = line_of(7, 1, "b"), c = line_of(7, 2, "c");
  Segments segments;
  segments.add({a, b, c});
  const std::size_t end_of_b = a.size() + b.size() + 2;
  for (const std::size_t piece : {end_of_b - 1, end_of_b, end_of_b + 1}) {
    CAPTURE(piece);
    CHECK(segments.place_of({JobId{7}, "", 0}, piece) == "0:0");
    CHECK(segments.place_of({JobId{7}, "", 1}, piece) == fmt::format("0:{}", a.size() + 1));
    CHECK(segments.place_of({JobId{7}, "", 2}, piece) == fmt::format("0:{}", end_of_b));
  }
}

TEST_CASE("what an answer says of ids is not taken for the line's own", "[explain]") {
  Segments segments;
  segments.add({line_of(7, 0, "a", R"({"id":"batch_req_7_1","custom_id":"b"})")});
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1} << 20}) {
    CHECK(segments.place_of({JobId{7}, "b", 0}, piece) == "none");
    CHECK(segments.place_of({JobId{7}, "", 1}, piece) == "none");
  }
}

TEST_CASE("only what is durable of a segment is looked at", "[explain]") {
  Segments segments;
  segments.add({line_of(7, 0, "a"), line_of(7, 1, "b")});
  std::uint64_t& durable = segments.known[0].bytes;
  durable = line_of(7, 0, "a").size() + 1;
  CHECK(segments.place_of({JobId{7}, "a", 0}) == "0:0");
  CHECK(segments.place_of({JobId{7}, "b", 0}) == "none");
  durable = 0;
  CHECK(segments.place_of({JobId{7}, "a", 0}) == "none");
}

TEST_CASE("a segment that is gone or was cut is an error, and not the want of a line",
          "[explain]") {
  Segments segments;
  segments.add({line_of(7, 0, "a"), line_of(7, 1, "b")});
  std::filesystem::resize_file(segments.path_of(1), segments.known[0].bytes - 1);
  SegmentFiles cut = segments.files();
  CHECK_THAT(find_line(cut, {JobId{7}, "a", 0}).error().message,
             Catch::Contains("lost acknowledged data"));
  std::filesystem::remove(segments.path_of(1));
  SegmentFiles gone = segments.files();
  CHECK_THAT(find_line(gone, {JobId{7}, "a", 0}).error().message,
             Catch::StartsWith("open " + segments.path_of(1)));
}

} // namespace line_finder_test
