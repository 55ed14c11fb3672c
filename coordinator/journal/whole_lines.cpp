#include "coordinator/journal/whole_lines.hpp"

#include "coordinator/journal/segment_files.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t read_bytes = 64u << 10;

} // namespace

Result<> WholeLines::read(const LineMark& from, std::uint64_t end, std::uint64_t offset,
                          std::span<char> into) {
  // Whoever reads on begins with the line that was read last, or with the next one.
  const bool goes_on = line_bytes_ > 0 && offset >= line_begins_ && from.in_whole <= in_whole_;
  if (!goes_on) {
    buffer_.clear();
    used_ = 0;
    in_file_ = from.in_file;
    in_whole_ = from.in_whole;
    line_bytes_ = 0;
  }
  while (!into.empty()) {
    if (line_bytes_ == 0 || offset >= line_begins_ + line_bytes_) {
      GRISTMILL_TRY(next_line(end));
      continue;
    }
    if (!is_whole_) GRISTMILL_TRY(make_whole());
    const std::size_t at = offset - line_begins_;
    const std::size_t bytes = std::min(into.size(), text_.size() - at);
    std::copy_n(text_.data() + at, bytes, into.data());
    into = into.subspan(bytes);
    offset += bytes;
  }
  return {};
}

// How many bytes of the buffer, from used_ on, the next line has with its newline.
Result<std::size_t> WholeLines::find_end(std::uint64_t end) {
  for (std::size_t searched = used_;;) {
    const std::size_t newline = buffer_.find('\n', searched);
    if (newline != buffer_.npos) return newline + 1 - used_;
    buffer_.erase(0, used_);
    used_ = 0;
    searched = buffer_.size();
    const std::uint64_t begin = in_file_ + buffer_.size();
    const std::size_t more = std::min<std::uint64_t>(std::max(read_bytes, searched), end - begin);
    if (more == 0)
      return fail(ErrorCode::io, fmt::format("expected a line's end before byte {} of its segment, "
                                             "got none: the file was changed; restore it",
                                             end));
    buffer_.resize(searched + more);
    GRISTMILL_TRY(file_(begin, {buffer_.data() + searched, more}));
  }
}

Result<> WholeLines::next_line(std::uint64_t end) {
  const auto bytes = find_end(end);
  GRISTMILL_TRY(bytes);
  line_.assign(buffer_, used_, *bytes);
  is_whole_ = false;
  line_begins_ = in_whole_;
  line_bytes_ = line_.size();
  const std::string_view text{line_.data(), line_.size() - 1};
  if (openai::is_by_reference(text)) {
    const auto read = openai::read_line_by_reference(text);
    GRISTMILL_TRY(read);
    line_bytes_ = read->whole_bytes() + 1;
  }
  used_ += *bytes;
  in_file_ += *bytes;
  in_whole_ += line_bytes_;
  return {};
}

Result<> WholeLines::make_whole() {
  const std::string_view text{line_.data(), line_.size() - 1};
  if (!openai::is_by_reference(text)) {
    text_ = line_;
  } else {
    const auto read = openai::read_line_by_reference(text);
    GRISTMILL_TRY(read);
    if (!bodies_)
      return fail(ErrorCode::usage,
                  fmt::format("the body of an answer stands in {} of a shared directory: start the "
                              "coordinator with --shared DIR, as it was when the job ran",
                              read->body.file));
    const auto body = bodies_->read(read->body);
    GRISTMILL_TRY(body);
    text_ = read->whole(*body);
    text_ += '\n';
  }
  is_whole_ = true;
  return {};
}

} // namespace gristmill::coordinator
