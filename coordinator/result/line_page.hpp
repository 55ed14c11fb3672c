// LINE PAGE: a job's durable lines as somebody reads them who comes back for more: those behind a
// place, in the order in which they were finished, and the place behind them. Lines are only ever
// appended, so a place stays what it is, through restarts and when the job goes on.
// Invariant: a page is whole lines, and whoever goes on at its end gets each line once.
//
//   place = SEGMENT ":" OFFSET        0:0 is the beginning
#pragma once

#include "actors/journal/line_store.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

struct PagePlace {
  std::uint32_t segment = 0; // its number; 0 = before the first one
  std::uint64_t offset = 0;  // where a line begins, or may begin
  bool operator==(const PagePlace&) const = default;
};
std::string to_string(const PagePlace& place);
std::optional<PagePlace> line_place_from(std::string_view text);

struct LinePage {
  std::string lines; // empty: there are none behind that place
  PagePlace next;
};

inline constexpr std::size_t page_bytes = 1u << 20;
// So many bytes at most, but one line at least. usage: there is no such place.
Result<LinePage> page_behind(journal::JobLines& lines, PagePlace from,
                             std::size_t bytes = page_bytes);

} // namespace gristmill::coordinator
