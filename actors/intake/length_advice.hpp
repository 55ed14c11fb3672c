// What to do about an input line that is longer than the job allows: advice that can be followed,
// because the option has a greatest value, too.
#pragma once

#include "protocol/limits.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <string>

namespace gristmill::intake {

// `bytes` of the line, as far as they are known; `allowed` so many.
inline std::string length_advice(std::uint64_t bytes, std::uint64_t allowed) {
  if (allowed < limits::line_bytes_max && bytes <= limits::line_bytes_max)
    return fmt::format("raise --max-line-bytes (at most {}), or split it", limits::line_bytes_max);
  return "split it, or leave it out; no line may be longer";
}

} // namespace gristmill::intake
