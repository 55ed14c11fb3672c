// SEGMENT SCAN: the lines of all segments, one after the other as they were written, read in slices
// of whole lines. Invariant: memory follows the slice and the longest line, not the segments.
#pragma once

#include "actors/merger/merge_files.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::merger {

// A line where it was read: the newline follows it, and line_padding bytes are readable after it.
struct PlacedLine {
  std::string_view text; // without the newline; until the next slice
  LinePlace place;
  std::string_view with_newline() const { return {text.data(), text.size() + 1}; }
};

// For people: "segment 2 of 5, offset 1024".
std::string describe(const MergeFiles& files, std::size_t segment, std::uint64_t offset);

class SegmentScan {
public:
  SegmentScan(MergeFiles& files, std::size_t slice_bytes)
      : files_{files}, slice_bytes_{slice_bytes} {}

  // False = the segments are at their end.
  Result<bool> read_slice();
  // The next line of the slice; nothing at its end.
  std::optional<PlacedLine> next_line();

private:
  MergeFiles& files_;
  std::size_t slice_bytes_;
  std::vector<char> buffer_;
  std::string_view rest_; // of the slice, whole lines
  std::uint32_t segment_ = 0;
  std::uint64_t read_ = 0; // bytes of the segment up to the end of the slice
};

} // namespace gristmill::merger
