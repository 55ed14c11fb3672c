#include "coordinator/result/line_page.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

template <class Number> bool parse_all(std::string_view text, Number& into) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc{} && stop == text.data() + text.size();
}

tl::unexpected<Error> no_such_place(PagePlace place, std::string_view why) {
  return fail(ErrorCode::usage, fmt::format("from: expected a place that Gristmill-Next has named, "
                                            "got {}: {}",
                                            to_string(place), why));
}

// The index of the place's segment.
Result<std::size_t> find(journal::JobLines& lines, PagePlace place) {
  const auto& segments = lines.segments();
  const auto at = std::ranges::find(segments, place.segment, &journal::Segment::number);
  if (at == segments.end()) return no_such_place(place, "the job has no such segment");
  const auto index = static_cast<std::size_t>(at - segments.begin());
  if (place.offset > at->bytes) return no_such_place(place, "the segment is not that long");
  char before = '\n';
  if (place.offset > 0) GRISTMILL_TRY(lines.read(index, place.offset - 1, {&before, 1}));
  if (before != '\n') return no_such_place(place, "no line begins there");
  return index;
}

// Whole lines from there on that fit into so many bytes; the first of them whatever its length if
// `one_at_least`.
Result<std::string> whole_lines(journal::JobLines& lines, std::size_t segment, std::uint64_t offset,
                                std::uint64_t bytes, bool one_at_least) {
  const std::uint64_t left = lines.segments()[segment].bytes - offset;
  std::string text;
  for (bytes = std::min(bytes, left);; bytes = std::min(2 * bytes, left)) {
    const std::size_t had = text.size();
    text.resize(bytes);
    GRISTMILL_TRY(lines.read(segment, offset + had, {text.data() + had, text.size() - had}));
    const std::size_t newline = text.rfind('\n');
    const bool none = newline == text.npos;
    if (none && one_at_least && bytes < left) continue;
    text.resize(none ? 0 : newline + 1);
    return text;
  }
}

} // namespace

std::string to_string(const PagePlace& place) {
  return fmt::format("{}:{}", place.segment, place.offset);
}

std::optional<PagePlace> line_place_from(std::string_view text) {
  const std::size_t colon = text.find(':');
  PagePlace place;
  if (colon == text.npos || !parse_all(text.substr(0, colon), place.segment) ||
      !parse_all(text.substr(colon + 1), place.offset))
    return std::nullopt;
  return place;
}

Result<LinePage> page_behind(journal::JobLines& lines, PagePlace from, std::size_t bytes) {
  const auto& segments = lines.segments();
  LinePage page{{}, from};
  if (from == PagePlace{}) {
    if (segments.empty()) return page;
    page.next.segment = segments.front().number;
  }
  auto at = find(lines, page.next);
  GRISTMILL_TRY(at);
  while (page.lines.size() < bytes) {
    if (page.next.offset == segments[*at].bytes) {
      if (*at + 1 == segments.size()) break;
      page.next = {segments[++*at].number, 0};
      continue;
    }
    const auto more =
        whole_lines(lines, *at, page.next.offset, bytes - page.lines.size(), page.lines.empty());
    GRISTMILL_TRY(more);
    if (more->empty()) break;
    page.lines += *more;
    page.next.offset += more->size();
  }
  return page;
}

} // namespace gristmill::coordinator
