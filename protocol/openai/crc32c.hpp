// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78) in its two ways, so that a test can compare
// them. Callers use crc32c() of wire.hpp, which takes the processor's instruction where there is
// one.
#pragma once

#include <cstdint>
#include <string_view>

namespace gristmill::openai {

std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t seed);

} // namespace gristmill::openai
