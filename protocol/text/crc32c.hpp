// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78): by the processor's instruction where there
// is one, else by a table, which a test compares.
#pragma once

#include <cstdint>
#include <string_view>

namespace gristmill {

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);
// Of bytes and so many more behind them, of which the CRC alone is known.
std::uint32_t crc32c_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes);
std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t seed);

} // namespace gristmill
