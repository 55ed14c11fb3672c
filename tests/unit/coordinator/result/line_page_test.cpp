// A job's lines page by page: each once, whatever the size of pages, and no place that there is
// not.
#include "coordinator/result/line_page.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

namespace line_page_test {

using namespace gristmill;
using namespace gristmill::coordinator;

class Lines final : public journal::JobLines {
public:
  void add(std::uint32_t number, std::string text) {
    segments_.push_back({number, text.size()});
    texts_.push_back(std::move(text));
  }
  const std::vector<journal::Segment>& segments() const override { return segments_; }
  Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) override {
    std::copy_n(texts_.at(segment).data() + offset, into.size(), into.data());
    return {};
  }
  std::string place_of(std::size_t) const override { return {}; }

private:
  std::vector<journal::Segment> segments_;
  std::vector<std::string> texts_;
};

TEST_CASE("whoever goes on at each page's end gets each line once") {
  Lines lines;
  lines.add(1, "one\n2\n");
  lines.add(2, "");
  lines.add(4, "a line that is longer than a page\nlast\n");
  const std::string all = "one\n2\na line that is longer than a page\nlast\n";
  for (std::size_t bytes = 1; bytes < 60; ++bytes) {
    std::string read;
    PagePlace place;
    for (;;) {
      const auto page = page_behind(lines, place, bytes);
      REQUIRE(page);
      place = page->next;
      if (page->lines.empty()) break;
      CHECK(page->lines.ends_with('\n'));
      read += page->lines;
    }
    CHECK(read == all);
    CHECK(to_string(place) == "4:39");
  }
}

TEST_CASE("of no line the next place is the beginning") {
  Lines lines;
  const auto page = page_behind(lines, {});
  REQUIRE(page);
  CHECK(page->lines.empty());
  CHECK(to_string(page->next) == "0:0");
}

TEST_CASE("a place that there is not is refused") {
  Lines lines;
  lines.add(1, "one\n2\n");
  for (const PagePlace place : {PagePlace{0, 1}, {2, 0}, {1, 7}, {1, 1}}) {
    const auto page = page_behind(lines, place);
    REQUIRE(!page);
    CHECK(page.error().code == ErrorCode::usage);
  }
  for (const char* text : {"", "1", "1:", ":1", "1:2:3", "1:-1", "a:1", " 1:1"})
    CHECK(!line_place_from(text));
  CHECK(line_place_from("3:17") == PagePlace{3, 17});
}

} // namespace line_page_test
