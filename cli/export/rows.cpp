#include "cli/export/rows.hpp"

#include "actors/intake/line_reader.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/line/result_line.hpp"

#include <fmt/format.h>
#include <utility>

namespace gristmill::cli::flat {
namespace {

// An answer and what was copied from the input, with what mending them may have added.
constexpr std::size_t result_line_bytes_max = 4 * limits::reply_bytes_max;

std::vector<std::string> names_of(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name());
  return names;
}

// Whether a line is of the result, and if not, why not.
Result<> check_line(const intake::Line& line, bool ended) {
  const auto wrong = [](std::string sentence) {
    return fail(ErrorCode::bad_input, std::move(sentence));
  };
  if (line.too_long)
    return wrong(fmt::format("expected a line of at most {} bytes, got {}", result_line_bytes_max,
                             line.bytes));
  const auto read = openai::check_result_line(line.text);
  if (!read && !ended && line.text.starts_with('{'))
    return wrong(fmt::format("expected a whole line, got one that is cut after {} bytes: copy or "
                             "fetch the result again",
                             line.bytes));
  if (!read)
    return wrong(read.error().message + ": give a result as Gristmill wrote it, or lines of it "
                                        "that are not changed");
  if (read->part)
    return wrong("expected the line of an item, got that of one of its parts: give the result, "
                 "where they are joined");
  return {};
}

} // namespace

Rows::Rows(TableForm form, std::vector<Field> fields, Only only)
    : fields_{std::move(fields)}, only_{only}, writer_{form, names_of(fields_)},
      cells_(fields_.size()), found_(fields_.size()) {}

Result<RowCounts> Rows::write(intake::ByteSource& result, const Append& append) {
  const auto name = result.name_of(0);
  GRISTMILL_TRY(name);
  GRISTMILL_TRY(append(writer_.header()));
  RowCounts counts;
  intake::LineReader lines{result, 0, 0, result_line_bytes_max};
  std::string row;
  for (std::uint64_t number = 1;; ++number) {
    const auto line = lines.next();
    GRISTMILL_TRY(line);
    if (!*line) break;
    const bool ended = lines.position() > (*line)->offset + (*line)->bytes;
    if (const auto checked = check_line(**line, ended); !checked)
      return fail(ErrorCode::bad_input,
                  fmt::format("{}:{}: {}", *name, number, checked.error().message));
    row.clear();
    add((*line)->text, row, counts);
    GRISTMILL_TRY(append(row));
  }
  for (std::size_t n = 0; n < fields_.size(); ++n)
    if (counts.rows > 0 && !fields_[n].is_known() && !found_[n])
      counts.absent.push_back(fields_[n].name());
  return counts;
}

void Rows::add(std::string_view text, std::string& row, RowCounts& counts) {
  OpenedLine line{text};
  if (only_ != Only::all && line.has_failed() != (only_ == Only::failed)) return;
  for (std::size_t n = 0; n < fields_.size(); ++n) {
    cells_[n] = fields_[n].in(line);
    if (!cells_[n].is(json::Kind::none)) found_[n] = true;
  }
  writer_.append_row(row, cells_);
  ++counts.rows;
  if (line.has_failed()) ++counts.failed;
}

} // namespace gristmill::cli::flat
