// TABLE WRITER: rows of JSON values as text.
//
//   csv, tsv  RFC 4180, a header first; lines end with a line feed alone. A string is its text,
//             anything else its JSON. Nothing is an empty cell, an empty string "" in quotes.
//   jsonl     one object a line, its members in the order of the columns; nothing is null.
//
// Cells are quoted that hold a separator, a quote or a line end, and never changed.
// Invariant: a row has as many cells as there are columns, and is never an empty line, which
// readers would skip.
#pragma once

#include "cli/export/table_form.hpp"
#include "protocol/text/json_text.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::cli::flat {

class TableWriter {
public:
  TableWriter(TableForm form, const std::vector<std::string>& columns);

  // What stands before the first row; of jsonl nothing.
  const std::string& header() const { return header_; }
  // What every table with these columns begins with, also one without rows, unless it is empty.
  std::string_view beginning() const;
  void append_row(std::string& out, std::span<const json::Value> cells) const;

private:
  void append_cell(std::string& out, json::Value cell) const;
  void append_text(std::string& out, std::string_view text) const;

  TableForm form_;
  char separator_;
  std::string header_;
  std::vector<std::string> keys_; // of jsonl, with what stands before and behind them
};

} // namespace gristmill::cli::flat
