// How the faults of a configuration file are worded.
#include "actors/kit/program/config_file.hpp"

#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace gristmill {
namespace {

// Levenshtein's distance: how many letters must be put in, taken out or changed.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = corner + (a[i] != b[j]);
      corner = row[j + 1];
      row[j + 1] = std::min({row[j + 1] + 1, row[j] + 1, changed});
    }
  }
  return row.back();
}

} // namespace

tl::unexpected<Error> config_fault(const std::string& path, ConfigPlace at,
                                   std::string_view sentence) {
  return fail(ErrorCode::usage, fmt::format("{}:{}:{}: {}", path, at.line, at.column, sentence));
}

std::string shown(const ConfigValue& value) {
  if (value.kind != ConfigValue::Kind::text) return value.text;
  return fmt::format("\"{}\"", json::printable(value.text, 100));
}

std::string_view nearest_key(std::string_view key, const std::vector<std::string_view>& known) {
  std::string_view nearest;
  std::size_t least = std::string_view::npos;
  for (const std::string_view candidate : known) {
    const std::size_t letters = distance(key.substr(0, limits::name_bytes_max), candidate);
    if (letters >= least) continue;
    least = letters;
    nearest = candidate;
  }
  return nearest;
}

} // namespace gristmill
