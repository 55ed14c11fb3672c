#include "cli/export/table_writer.hpp"

namespace gristmill::cli::flat {

using json::Kind;
using json::Value;

TableWriter::TableWriter(TableForm form, const std::vector<std::string>& columns)
    : form_{form}, separator_{form == TableForm::tsv ? '\t' : ','} {
  for (const std::string& column : columns) {
    if (form_ == TableForm::jsonl) {
      std::string key{keys_.empty() ? '{' : ','};
      json::append_string(key, column);
      keys_.push_back(key + ":");
    } else {
      if (!header_.empty()) header_ += separator_;
      append_text(header_, column);
    }
  }
  if (form_ != TableForm::jsonl) header_ += '\n';
}

std::string_view TableWriter::beginning() const {
  return form_ == TableForm::jsonl ? std::string_view{keys_.front()} : std::string_view{header_};
}

void TableWriter::append_row(std::string& out, std::span<const Value> cells) const {
  const std::size_t before = out.size();
  for (std::size_t n = 0; n < cells.size(); ++n) {
    if (form_ == TableForm::jsonl) {
      out += keys_[n];
      out += cells[n].is(Kind::none) ? std::string_view{"null"} : cells[n].text;
    } else {
      if (n > 0) out += separator_;
      append_cell(out, cells[n]);
    }
  }
  if (form_ == TableForm::jsonl) out += '}';
  if (out.size() == before) out += "\"\""; // one column with nothing in it
  out += '\n';
}

void TableWriter::append_cell(std::string& out, Value cell) const {
  switch (cell.kind()) {
  case Kind::none:
  case Kind::null: return;
  case Kind::string: break;
  default: return append_text(out, cell.text);
  }
  const std::string_view spelled = cell.text.substr(1, cell.text.size() - 2);
  if (spelled.empty())
    out += "\"\"";
  else if (spelled.find('\\') == spelled.npos)
    append_text(out, spelled);
  else
    append_text(out, json::decoded(spelled));
}

void TableWriter::append_text(std::string& out, std::string_view text) const {
  // Each by itself is a search of whole words; all at once would be one of bytes.
  const auto has = [text](char c) { return text.find(c) != text.npos; };
  if (!has(separator_) && !has('"') && !has('\n') && !has('\r')) {
    out += text;
    return;
  }
  out += '"';
  for (;;) {
    const std::size_t quote = text.find('"');
    out += text.substr(0, quote);
    if (quote == text.npos) break;
    out += "\"\"";
    text.remove_prefix(quote + 1);
  }
  out += '"';
}

} // namespace gristmill::cli::flat
