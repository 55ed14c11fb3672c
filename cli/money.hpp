// Money for people. Invariant: what has no price is not shown at all, rather than as nothing.
#pragma once

#include <cstdint>
#include <fmt/format.h>
#include <string>

namespace gristmill::cli {

// ", $1.2345"; empty when nothing that has a price was used.
inline std::string and_cost(std::uint64_t nano_usd, const char* separator = ", ") {
  return nano_usd == 0 ? ""
                       : fmt::format("{}${:.4f}", separator, static_cast<double>(nano_usd) / 1e9);
}

} // namespace gristmill::cli
