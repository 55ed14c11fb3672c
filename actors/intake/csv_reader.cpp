#include "actors/intake/csv_reader.hpp"

#include "actors/intake/input_format.hpp"
#include "actors/intake/length_advice.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace gristmill::intake {
namespace {

constexpr std::size_t buffer_bytes = 256 * 1024;

} // namespace

CsvReader::CsvReader(ByteSource& source, std::uint32_t input, std::uint64_t offset,
                     std::uint64_t line, char separator, std::uint64_t record_bytes_max,
                     std::size_t fields_max)
    : source_{source}, input_{input}, record_bytes_max_{record_bytes_max}, blank_{separator == '\t'
                                                                                      ? " \r"
                                                                                      : " \t\r"},
      parser_{separator, fields_max}, begins_at_{offset}, line_{line} {}

Result<bool> CsvReader::fill() {
  if (buffer_.empty()) buffer_.resize(buffer_bytes);
  // The line at hand stays whole, so that a fault in it need not read it again.
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    begins_at_ += begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) return true;
  const auto got =
      source_.read(input_, begins_at_ + end_, {buffer_.data() + end_, buffer_.size() - end_});
  GRISTMILL_TRY(got);
  end_ += *got;
  return *got > 0;
}

Result<CsvReader::Piece> CsvReader::piece() {
  std::size_t searched = begin_;
  for (;;) {
    const char* from = buffer_.data() + begin_;
    const std::size_t there = end_ - begin_;
    std::string_view rest{from, there};
    std::size_t at = rest.find('\n', searched - begin_);
    const std::size_t return_at = rest.substr(0, at).find('\r', searched - begin_);
    if (return_at != rest.npos) at = return_at;
    // A carriage return is a line end with or without the newline after it.
    const bool whole = at != rest.npos && (rest[at] == '\n' || at + 1 < there);
    if (whole) {
      const std::size_t end = rest.substr(at).starts_with("\r\n") ? 2 : 1;
      return Piece{rest.substr(0, at), rest.substr(at, end), true};
    }
    const bool full = there == buffer_bytes;
    if (full && at == rest.npos) return Piece{rest, {}, false};
    if (full) return Piece{rest.substr(0, at), {}, false};
    searched = begin_ + (at == rest.npos ? there : at);
    const std::size_t moved = begin_;
    const auto more = fill();
    GRISTMILL_TRY(more);
    searched -= moved;
    if (*more) continue;
    rest = {buffer_.data() + begin_, end_ - begin_};
    const bool ends = rest.ends_with('\r');
    return Piece{rest.substr(0, rest.size() - (ends ? 1 : 0)),
                 rest.substr(rest.size() - (ends ? 1 : 0)), true};
  }
}

void CsvReader::go_back_to(std::uint64_t offset) {
  if (offset >= begins_at_ && offset <= begins_at_ + end_) {
    begin_ = static_cast<std::size_t>(offset - begins_at_);
  } else {
    begins_at_ = offset;
    begin_ = end_ = 0;
  }
}

// What is behind the first line may be good; of a first line that has not ended the rest is
// skipped.
Result<std::optional<CsvRecord>> CsvReader::first_line_only(CsvRecord record,
                                                            std::uint64_t first_line_end) {
  record.before_fault = parser_.fields();
  parser_.reset();
  if (first_line_end > 0) {
    go_back_to(first_line_end);
    record.bytes = first_line_end - record.offset;
  } else {
    for (bool ended = false; !ended;) {
      const auto piece = this->piece();
      GRISTMILL_TRY(piece);
      begin_ += piece->text.size() + piece->line_end.size();
      record.bytes = std::max(record.bytes, offset() - record.offset - piece->line_end.size());
      ended = piece->ends;
    }
  }
  line_ = record.line;
  return record;
}

Result<std::optional<CsvRecord>> CsvReader::next() {
  parser_.reset();
  CsvRecord record;
  std::uint64_t first_line_end = 0;
  bool begun = false;
  for (;;) {
    const auto piece = this->piece();
    GRISTMILL_TRY(piece);
    std::string_view text = piece->text;
    const bool at_end = text.empty() && piece->line_end.empty();
    if (!begun) {
      if (at_end) return std::nullopt;
      if (offset() == 0 && text.starts_with(byte_order_mark)) {
        text.remove_prefix(byte_order_mark.size());
        begin_ += byte_order_mark.size();
      }
      if (piece->ends && text.find_first_not_of(blank_) == text.npos) {
        begin_ += text.size() + piece->line_end.size();
        ++line_;
        continue;
      }
      begun = true;
      record.offset = offset();
      record.line = line_ + 1;
      record.parsed = &parser_;
    }
    record.bytes = offset() - record.offset + text.size();
    if (record.bytes > record_bytes_max_) {
      constexpr std::size_t beginning = 1'024; // may tell the record's id
      if (offset() == record.offset) parser_.feed(text.substr(0, beginning));
      record.fault =
          fmt::format("expected a record of at most {} bytes, got more; close its quote, or {}",
                      record_bytes_max_, length_advice(record.bytes, record_bytes_max_));
      return first_line_only(std::move(record), first_line_end);
    }
    auto state = parser_.feed({text.data(), text.size() + piece->line_end.size()});
    if (state == CsvParser::State::faulty)
      record.fault =
          "expected a separator or the line's end after a closing quote, got other text; "
          "close the quote before it, or double each quote inside a field";
    if (state == CsvParser::State::open && piece->ends && piece->line_end.empty()) {
      state = parser_.finish();
      if (state == CsvParser::State::faulty)
        record.fault =
            "expected a closing quote, got the end of the file; close it, or double each "
            "quote inside a field";
    }
    if (state == CsvParser::State::faulty) {
      if (first_line_end == 0 && piece->ends)
        first_line_end = offset() + text.size() + piece->line_end.size();
      return first_line_only(std::move(record), first_line_end);
    }
    begin_ += text.size() + piece->line_end.size();
    if (piece->ends) ++line_;
    if (piece->ends && first_line_end == 0) first_line_end = offset();
    if (state == CsvParser::State::complete) {
      record.lines = line_ - record.line + 1;
      return record;
    }
  }
}

} // namespace gristmill::intake
