// Cuts one input into lines through a buffer that grows to the longest line allowed and no further.
// A longer line is skipped and reported with the bytes it had, so that one bad line costs neither
// the job nor its memory. Invariant: position() is the first byte after what next() returned.
#pragma once

#include "actors/intake/byte_source.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace gristmill::intake {

struct Line {
  std::string_view text; // without line end; valid until the next call; when too_long its beginning
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0; // of the line; more than `text` holds when too_long
  bool too_long = false;
};

class LineReader {
public:
  LineReader(ByteSource& source, std::uint32_t input, std::uint64_t offset,
             std::uint64_t line_bytes_max)
      : source_{source}, input_{input}, offset_{offset}, line_bytes_max_{line_bytes_max} {}

  // The next line, nothing at the end. A last line without a line end counts.
  Result<std::optional<Line>> next();
  std::uint64_t position() const { return offset_; }

private:
  // A job that waits has read a few lines and keeps its buffer.
  static constexpr std::size_t chunk_bytes_min = 8 * 1024, chunk_bytes_max = 256 * 1024;
  Result<bool> fill(); // false at the end of the input
  Result<std::optional<Line>> skip_long_line();
  static constexpr std::size_t beginning_bytes = 16 * 1024; // of a long line
  bool fits(std::size_t length) const; // so many bytes from begin_, less a carriage return
  Line take(std::size_t length, std::size_t with_end);

  ByteSource& source_;
  std::uint32_t input_;
  std::uint64_t offset_; // of buffer_[begin_]
  std::uint64_t line_bytes_max_;
  std::string buffer_, beginning_;
  std::size_t chunk_bytes_ = chunk_bytes_min; // of the next read
  std::size_t begin_ = 0, searched_ = 0, end_ = 0;
};

} // namespace gristmill::intake
