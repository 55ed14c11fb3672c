#include "cli/terminal/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

struct Character {
  std::size_t bytes = 1, columns = 1;
};

bool is_wide(char32_t c) {
  return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
         (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
         (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
         (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
}

// A byte that begins no character stands for one.
Character character_at(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t bytes = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : byte(0) >= 0xc2 ? 2 : 1;
  if (bytes == 1 || bytes > text.size()) return {};
  char32_t code = byte(0) & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  const bool combines = code >= 0x300 && code <= 0x36f;
  return {bytes, combines ? 0u : is_wide(code) ? 2u : 1u};
}

} // namespace

std::string grouped(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string time_span(double seconds) {
  const auto s = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 1e15));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3'600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 100 * 3'600) return fmt::format("{}h{:02}m", s / 3'600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86'400, s / 3'600 % 24);
}

std::string dollars(double usd) {
  if (usd >= 1'000) return "$" + grouped(static_cast<std::uint64_t>(usd + 0.5));
  return usd < 0.1 ? fmt::format("${:.4f}", usd) : fmt::format("${:.2f}", usd);
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const Character c = character_at(text);
    columns += c.columns;
    text.remove_prefix(c.bytes);
  }
  return columns;
}

std::string cut_to(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) return std::string{text};
  if (columns == 0) return {};
  std::size_t shown = 0, bytes = 0;
  for (;;) {
    const Character c = character_at(text.substr(bytes));
    if (shown + c.columns > columns - 1) break;
    shown += c.columns;
    bytes += c.bytes;
  }
  return std::string{text.substr(0, bytes)} + "…";
}

std::string sentence_of(std::uint64_t items, const Preprocessed& all) {
  std::string by;
  const auto add = [&by](std::uint64_t records, std::string_view option) {
    if (records > 0) by += fmt::format("{}{} {}", by.empty() ? "" : ", ", option, grouped(records));
  };
  add(all.where, "--where");
  add(all.empty, "--drop-empty");
  add(all.sample, "--sample");
  std::string text;
  if (!by.empty())
    text = fmt::format("{} records, {} left out ({})", grouped(items + all.dropped()),
                       grouped(all.dropped()), by);
  if (all.normalised > 0)
    text += fmt::format("{}{} normalised{}", text.empty() ? "" : "; ", grouped(all.normalised),
                        all.mended == 0 ? ""
                                        : fmt::format(", {} of them with bytes that were no UTF-8",
                                                      grouped(all.mended)));
  return text;
}

} // namespace gristmill::cli
