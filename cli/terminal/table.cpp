#include "cli/terminal/table.hpp"

#include "cli/terminal/text.hpp"

#include <algorithm>

namespace gristmill::cli {
namespace {

bool is_number(const std::string& cell) {
  // A minus further on joins numbers to a name, as in a session's.
  return !cell.empty() && cell.find_first_not_of("0123456789.,+%/", cell[0] == '-') == cell.npos;
}

} // namespace

std::string table(const std::vector<std::vector<std::string>>& rows) {
  const std::size_t columns = rows.front().size();
  std::vector<std::size_t> widths(columns, 0);
  std::vector<bool> numeric(columns, rows.size() > 1);
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      widths[c] = std::max(widths[c], columns_of(rows[r].at(c)));
      if (r > 0 && !is_number(rows[r][c])) numeric[c] = false;
    }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < columns; ++c) {
      const std::string space(widths[c] - columns_of(row[c]), ' ');
      line += (numeric[c] ? space + row[c] : row[c] + space) + "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

} // namespace gristmill::cli
