#include "actors/merger/segment_scan.hpp"

#include "actors/merger/line_facts.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::merger {

std::string describe(const MergeFiles& files, std::size_t segment, std::uint64_t offset) {
  return fmt::format("segment {} of {}, offset {}", segment + 1, files.segment_count(), offset);
}

Result<bool> SegmentScan::read_slice() {
  rest_ = {};
  while (segment_ < files_.segment_count() && read_ == files_.segment_bytes(segment_)) {
    ++segment_;
    read_ = 0;
  }
  if (segment_ == files_.segment_count()) return false;

  const std::uint64_t left = files_.segment_bytes(segment_) - read_;
  for (std::uint64_t want = std::min<std::uint64_t>(slice_bytes_, left);;
       want = std::min(want * 2, left)) {
    if (buffer_.size() < want + line_padding) buffer_.resize(want + line_padding);
    const std::span<char> into{buffer_.data(), want};
    GRISTMILL_TRY(files_.read(segment_, read_, into));
    const std::string_view got{into.data(), into.size()};
    if (const auto newline = got.rfind('\n'); newline != got.npos) {
      rest_ = got.substr(0, newline + 1);
      read_ += rest_.size();
      return true;
    }
    // What a segment promises ends with a whole line, and no result is longer than a frame.
    if (want == left || want > limits::frame_bytes_max)
      return fail(ErrorCode::io,
                  fmt::format("{}: expected a line of at most {} bytes, got {} bytes without its "
                              "end: the file was changed; restore it",
                              describe(files_, segment_, read_), limits::frame_bytes_max, want));
  }
}

std::optional<PlacedLine> SegmentScan::next_line() {
  if (rest_.empty()) return std::nullopt;
  const std::string_view text = rest_.substr(0, rest_.find('\n'));
  const LinePlace place{segment_, static_cast<std::uint32_t>(text.size()), read_ - rest_.size()};
  rest_.remove_prefix(text.size() + 1);
  return PlacedLine{text, place};
}

} // namespace gristmill::merger
