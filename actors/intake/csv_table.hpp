// CSV TABLE: a table with a header as records that are JSON objects of strings, one for each row,
// so that everything after the intake knows objects only. Invariant: a row's object has the
// header's names in the header's order, or the row says why it has not.
#pragma once

#include "actors/intake/csv_reader.hpp"
#include "actors/intake/record_reader.hpp"

#include <memory>
#include <string>
#include <vector>

namespace gristmill::intake {

inline constexpr std::size_t columns_max = 10'000;

struct CsvHeader {
  char separator = ',';
  // Each name as a JSON string with its colon; empty: the column has none (a data frame's index, a
  // separator at the lines' ends), and no row's object has it.
  std::vector<std::string> keys;
  std::uint64_t offset = 0, line = 0; // where the rows begin
  bool mends = false;                 // bytes that are no UTF-8 become U+FFFD
};

struct CsvOptions {
  std::string delimiter; // of the job; empty = the header tells
  char usual = ',';      // by the input's name
  std::uint64_t record_bytes_max = 0;
  bool mends = false; // as of CsvHeader
};

// The header of an input, without names if the input is empty. An error says what is wrong with it,
// with its place after `name`.
Result<CsvHeader> read_csv_header(ByteSource& source, std::uint32_t input, const std::string& name,
                                  const CsvOptions& options);

// A row as an object, or why it cannot be one.
Result<std::string> csv_object(const CsvHeader& header, const CsvParser& row,
                               std::uint64_t object_bytes_max);
// The same of a row's own text, as it is read again.
Result<std::string> csv_object(const CsvHeader& header, std::string_view row,
                               std::uint64_t object_bytes_max);

class CsvTable final : public RecordReader {
public:
  // `header` must outlive it.
  CsvTable(ByteSource& source, std::uint32_t input, const CsvHeader& header, std::uint64_t offset,
           std::uint64_t line, std::uint64_t record_bytes_max)
      : header_{header}, object_bytes_max_{record_bytes_max}, reader_{source,
                                                                      input,
                                                                      offset,
                                                                      line,
                                                                      header.separator,
                                                                      record_bytes_max,
                                                                      header.keys.size()} {}

  Result<std::optional<Record>> next() override;
  std::uint64_t offset() const override { return reader_.offset(); }
  std::uint64_t line() const override { return reader_.line(); }

private:
  void keep_readable(const std::vector<std::string>& fields, std::size_t count);

  const CsvHeader& header_;
  std::uint64_t object_bytes_max_;
  CsvReader reader_;
  std::string object_;
};

} // namespace gristmill::intake
