// CRC-32 as zlib, gzip and PNG use it (reflected polynomial 0xEDB88320).
//
// The answers of the simulated model carry the checksum of what was asked, so a test in any
// language proves with its own zlib that the right answer came back for the right item.
// Invariant: crc32(text) == Python's zlib.crc32(text.encode()).
#pragma once

#include <cstdint>
#include <string_view>

namespace gristmill::simllm {

std::uint32_t crc32(std::string_view bytes);

} // namespace gristmill::simllm
