#include "crc32.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace gristmill::simllm {
namespace {

using Table = std::array<std::uint32_t, 256>;

// Table 0 is the textbook table for one byte; table k advances a byte by k further zero bytes, so
// that eight look-ups take in eight bytes at once.
constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0xEDB88320u : 0u);
    tables[0][byte] = value;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}

constexpr std::array<Table, 8> tables = make_tables();
static_assert(std::endian::native == std::endian::little, "eight bytes are read in one load");

} // namespace

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t state = 0xFFFFFFFFu;
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    word ^= state;
    state = 0;
    for (std::size_t k = 0; k < 8; ++k) state ^= tables[7 - k][(word >> (8 * k)) & 255];
    bytes.remove_prefix(8);
  }
  for (const char c : bytes) {
    state = (state >> 8) ^ tables[0][(state ^ static_cast<unsigned char>(c)) & 255];
  }
  return ~state;
}

} // namespace gristmill::simllm
