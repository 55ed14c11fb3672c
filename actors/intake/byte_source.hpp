// BYTE SOURCE: the window to a job's input files. Any offset may be read again at any time, so what
// can be read once only (a pipe) is spooled to a file before the job begins.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <span>

namespace gristmill::intake {

class ByteSource {
public:
  virtual ~ByteSource() = default;
  // Reads up to `into.size()` bytes of input number `input` from `offset`; 0 = end of the input.
  virtual Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                                   std::span<char> into) = 0;
};

} // namespace gristmill::intake
