// Finding an item's line in segments: by id and by number, the last one, and no other's.
#include "coordinator/result/line_finder.hpp"

#include "protocol/ids.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace line_finder_test {

using namespace gristmill;
using namespace gristmill::store_test;
using coordinator::find_line;
using coordinator::LineWanted;

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

journal::Segment segment(const std::string& path, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) append_to(path, line + "\n");
  return {path, std::filesystem::file_size(path)};
}

// Where the line is, as "SEGMENT:OFFSET".
std::string place_of(const std::vector<journal::Segment>& segments, const LineWanted& wanted) {
  const auto found = find_line(segments, wanted);
  REQUIRE(found);
  if (!*found) return "none";
  CHECK(content_of((*found)->path).substr((*found)->offset, (*found)->line.size() + 1) ==
        (*found)->line + "\n");
  for (std::size_t n = 0; n < segments.size(); ++n)
    if (segments[n].path == (*found)->path) return fmt::format("{}:{}", n, (*found)->offset);
  return "elsewhere";
}

} // namespace

TEST_CASE("a line is found by its item's id and by its number, and the last one holds",
          "[explain]") {
  const TempDirectory temp;
  const std::string a = line_of(7, 0, "a"), quoted = line_of(7, 1, "say \"b\"\n"),
                    again = line_of(7, 0, "a", R"({"n":2})"), ten = line_of(7, 10, "a1");
  const std::vector<journal::Segment> segments{segment(temp / "1", {a, quoted, again}),
                                               segment(temp / "2", {ten})};
  const std::string last = fmt::format("0:{}", a.size() + quoted.size() + 2);
  CHECK(place_of(segments, {JobId{7}, "a", 0}) == last);
  CHECK(place_of(segments, {JobId{7}, "", 0}) == last);
  CHECK(place_of(segments, {JobId{7}, "say \"b\"\n", 0}) == fmt::format("0:{}", a.size() + 1));
  CHECK(place_of(segments, {JobId{7}, "", 10}) == "1:0");
  CHECK(place_of(segments, {JobId{7}, "a1", 0}) == "1:0");
  CHECK(place_of(segments, {JobId{7}, "", 2}) == "none");
  CHECK(place_of(segments, {JobId{7}, "b", 0}) == "none");
  CHECK(place_of(segments, {JobId{70}, "a", 0}) == "none");
  CHECK(place_of({}, {JobId{7}, "a", 0}) == "none");
}

TEST_CASE("what an answer says of ids is not taken for the line's own", "[explain]") {
  const TempDirectory temp;
  const std::vector<journal::Segment> segments{
      segment(temp / "1", {line_of(7, 0, "a", R"({"id":"batch_req_7_1","custom_id":"b"})")})};
  CHECK(place_of(segments, {JobId{7}, "b", 0}) == "none");
  CHECK(place_of(segments, {JobId{7}, "", 1}) == "none");
}

TEST_CASE("only what is durable of a segment is looked at", "[explain]") {
  const TempDirectory temp;
  journal::Segment first = segment(temp / "1", {line_of(7, 0, "a"), line_of(7, 1, "b")});
  first.bytes = line_of(7, 0, "a").size() + 1;
  CHECK(place_of({first}, {JobId{7}, "a", 0}) == "0:0");
  CHECK(place_of({first}, {JobId{7}, "b", 0}) == "none");
  first.bytes = 0;
  CHECK(place_of({first}, {JobId{7}, "a", 0}) == "none");
  CHECK_FALSE(find_line({{temp / "gone", 5}}, {JobId{7}, "a", 0}));
}

} // namespace line_finder_test
