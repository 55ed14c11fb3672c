#include "actors/intake/line_reader.hpp"

#include <algorithm>
#include <cstring>

namespace gristmill::intake {
Result<bool> LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    searched_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < chunk_bytes_) buffer_.resize(end_ + chunk_bytes_);
  chunk_bytes_ = std::min(2 * chunk_bytes_, chunk_bytes_max);
  const auto got = source_.read(input_, offset_ + (end_ - begin_),
                                {buffer_.data() + end_, buffer_.size() - end_});
  GRISTMILL_TRY(got);
  end_ += *got;
  return *got > 0;
}

bool LineReader::fits(std::size_t length) const {
  return length <= line_bytes_max_ ||
         (length == line_bytes_max_ + 1 && buffer_[begin_ + length - 1] == '\r');
}

Line LineReader::take(std::size_t length, std::size_t with_end) {
  Line line{{buffer_.data() + begin_, length}, offset_, length, false};
  if (line.text.ends_with('\r')) line.text.remove_suffix(1);
  begin_ += with_end;
  searched_ = begin_;
  offset_ += with_end;
  return line;
}

Result<std::optional<Line>> LineReader::next() {
  for (;;) {
    const char* from = buffer_.data() + searched_;
    if (const void* found =
            end_ > searched_ ? std::memchr(from, '\n', end_ - searched_) : nullptr) {
      const auto length =
          static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data()) - begin_;
      if (!fits(length)) return skip_long_line();
      return take(length, length + 1);
    }
    searched_ = end_;
    if (!fits(end_ - begin_)) return skip_long_line();
    const auto more = fill();
    GRISTMILL_TRY(more);
    if (*more) continue;
    if (end_ == begin_) return std::nullopt;
    return take(end_ - begin_, end_ - begin_);
  }
}

Result<std::optional<Line>> LineReader::skip_long_line() {
  // So much is in memory whatever the reads were: the same input gives the same items.
  beginning_.assign(buffer_, begin_, std::min<std::uint64_t>(line_bytes_max_, beginning_bytes));
  Line line{beginning_, offset_, 0, true};
  for (;;) {
    const char* from = buffer_.data() + begin_;
    const void* found = end_ > begin_ ? std::memchr(from, '\n', end_ - begin_) : nullptr;
    const std::size_t length =
        found ? static_cast<std::size_t>(static_cast<const char*>(found) - from) : end_ - begin_;
    line.bytes += length;
    const std::size_t taken = length + (found ? 1 : 0);
    begin_ += taken;
    searched_ = begin_;
    offset_ += taken;
    if (found) return line;
    const auto more = fill();
    GRISTMILL_TRY(more);
    if (!*more) return line;
  }
}

} // namespace gristmill::intake
