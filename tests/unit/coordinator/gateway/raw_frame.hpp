// Frames spelled byte by byte, for what encode() would never write. Invariant: nothing here is
// checked; a test may spell anything.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace gristmill::raw {

inline std::string big_endian(std::uint64_t value, int width) {
  std::string bytes;
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
    bytes += static_cast<char>(value >> shift);
  return bytes;
}
inline std::string number(std::uint64_t value) {
  return value < 0x80 ? std::string(1, static_cast<char>(value)) : '\xcf' + big_endian(value, 8);
}
inline std::string text(std::string_view value) {
  return '\xdb' + big_endian(value.size(), 4) + std::string{value};
}
inline std::string opaque(std::string_view value) {
  return '\xc6' + big_endian(value.size(), 4) + std::string{value};
}
inline std::string array_head(std::uint64_t count) {
  return '\xdd' + big_endian(count, 4);
}
inline std::string map_head(std::uint64_t count) {
  return '\xdf' + big_endian(count, 4);
}

inline std::string repeated(std::string_view piece, std::size_t times) {
  std::string bytes;
  bytes.reserve(piece.size() * times);
  while (times-- > 0) bytes += piece;
  return bytes;
}
inline std::string list(std::initializer_list<std::string> elements) {
  std::string bytes = array_head(elements.size());
  for (const std::string& element : elements) bytes += element;
  return bytes;
}
inline std::string list_of(std::size_t times, std::string_view element) {
  return array_head(times) + repeated(element, times);
}

struct Pair {
  std::string key, value;
};
inline std::string map(std::initializer_list<Pair> pairs) {
  std::string bytes = map_head(pairs.size());
  for (const Pair& pair : pairs) bytes += text(pair.key) + pair.value;
  return bytes;
}

// The tags that the tests use.
inline constexpr std::uint64_t hello = 1, need = 2, heartbeat = 3, outcomes = 4, goodbye = 6;
inline constexpr std::uint64_t refused = 33, batch = 35, drain = 40;

inline std::string frame(std::uint64_t tag, const std::string& body, std::uint64_t version = 2) {
  return list({number(version), number(tag), number(7), number(8), number(9), number(10), body});
}

inline const std::string nil = "\xc0";
inline const std::string part = map({{"j", number(1)}, {"i", number(5)}});
inline const std::string parts = list({part});

} // namespace gristmill::raw
