// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78): by the processor's instruction where there
// is one, else by a table, which a test compares.
#pragma once

#include <cstdint>
#include <string_view>

namespace gristmill {

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);
std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t seed);

} // namespace gristmill
