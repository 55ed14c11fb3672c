#include "protocol/text/z85.hpp"

#include <cstdint>

namespace gristmill {
namespace {

constexpr std::string_view alphabet =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
static_assert(alphabet.size() == 85);

} // namespace

std::string z85_encode(std::string_view bytes) {
  std::string text;
  for (std::size_t at = 0; at + 4 <= bytes.size(); at += 4) {
    std::uint32_t word = 0;
    for (const char byte : bytes.substr(at, 4)) word = word << 8 | static_cast<unsigned char>(byte);
    std::string group(5, '0');
    for (auto digit = group.rbegin(); digit != group.rend(); ++digit, word /= 85)
      *digit = alphabet[word % 85];
    text += group;
  }
  return text;
}

std::optional<std::string> z85_decode(std::string_view text) {
  if (text.size() % 5 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t at = 0; at < text.size(); at += 5) {
    std::uint64_t word = 0;
    for (const char digit : text.substr(at, 5)) {
      const auto value = alphabet.find(digit);
      if (value == std::string_view::npos) return std::nullopt;
      word = word * 85 + value;
    }
    // Five digits reach further than four bytes; a wrapped word would be a second text of a key.
    if (word > UINT32_MAX) return std::nullopt;
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(word >> shift & 0xff);
  }
  return bytes;
}

} // namespace gristmill
