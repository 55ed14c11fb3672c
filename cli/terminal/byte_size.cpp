#include "cli/terminal/byte_size.hpp"

#include <charconv>
#include <fmt/format.h>
#include <limits>

namespace gristmill::cli {

Result<std::uint64_t> byte_size_of(const std::string& text, std::string_view option) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit{stop, static_cast<std::size_t>(text.data() + text.size() - stop)};
  const std::size_t power = unit.empty() ? 0 : std::string_view{"KMGT"}.find(unit.front()) + 1;
  if (power > 0 && unit.ends_with("iB")) unit.remove_suffix(2);
  const bool is_unit = unit.size() == (power > 0) && power <= 4;
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  if (error != std::errc{} || !is_unit || number > most >> 10 * power)
    return fail(ErrorCode::usage, fmt::format("{}: expected a size such as 500M or 20G (of 1024 "
                                              "each), got \"{}\"",
                                              option, text));
  return number << 10 * power;
}

} // namespace gristmill::cli
