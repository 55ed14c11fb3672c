// CSV READER cuts a table into records of fields, through a buffer that does not grow with them. A
// record may span lines. One with a fault of form (a quote that is not closed, text behind a
// closing quote, too long) ends with its first line, and the next line begins another: a forgotten
// quote costs one line and not what follows it. Invariant: memory is bounded by the longest record
// allowed.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "actors/intake/csv_parser.hpp"

#include <optional>
#include <string>

namespace gristmill::intake {

struct CsvRecord {
  const CsvParser* parsed = nullptr;   // its fields; valid until the next record
  std::uint64_t offset = 0, bytes = 0; // without the line end
  std::uint64_t line = 0, lines = 1;   // the first one, from 1, and how many it spans
  std::string fault;
  std::vector<std::string> before_fault; // the fields that had ended before it
};

class CsvReader {
public:
  CsvReader(ByteSource& source, std::uint32_t input, std::uint64_t offset, std::uint64_t line,
            char separator, std::uint64_t record_bytes_max, std::size_t fields_max);

  Result<std::optional<CsvRecord>> next();
  std::uint64_t offset() const { return begins_at_ + begin_; }
  std::uint64_t line() const { return line_; }

private:
  // A line with its end, or as much of it as is in memory.
  struct Piece {
    std::string_view text, line_end;
    bool ends = false;
  };
  Result<bool> fill(); // false at the end of the input
  Result<Piece> piece();
  Result<std::optional<CsvRecord>> first_line_only(CsvRecord record, std::uint64_t first_line_end);
  void go_back_to(std::uint64_t offset);

  ByteSource& source_;
  std::uint32_t input_;
  std::uint64_t record_bytes_max_;
  std::string_view blank_;
  CsvParser parser_;
  std::string buffer_;
  std::uint64_t begins_at_; // of buffer_[0]
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t line_;
};

} // namespace gristmill::intake
