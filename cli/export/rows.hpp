// ROWS: a result's lines as the rows of a table, one at a time.
// Invariant: a line that does not prove itself by its CRC ends the table with its place: a table
// never stands for lines that were cut or changed.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "cli/export/field.hpp"
#include "cli/export/table_writer.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::cli::flat {

enum class Only : std::uint8_t { all, completed, failed };

struct RowCounts {
  std::uint64_t rows = 0, failed = 0; // of those the items that have failed
  std::vector<std::string> absent;    // fields that no line had, of those that may be slips
};

class Rows {
public:
  using Append = std::function<Result<>(std::string_view)>;
  Rows(TableForm form, std::vector<Field> fields, Only only);

  const TableWriter& writer() const { return writer_; }
  // Errors (bad_input) name file and line.
  Result<RowCounts> write(intake::ByteSource& result, const Append& append);

private:
  void add(std::string_view line, std::string& row, RowCounts& counts);

  std::vector<Field> fields_;
  Only only_;
  TableWriter writer_;
  std::vector<json::Value> cells_; // of a row
  std::vector<bool> found_;        // by field: a line had it
};

} // namespace gristmill::cli::flat
