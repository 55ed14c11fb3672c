// Money for people. Invariant: what has no price is not shown at all, rather than as nothing.
#pragma once

#include "protocol/job/spec.hpp"

#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <string>

namespace gristmill::cli {

// ", $1.2345"; empty when nothing that has a price was used.
inline std::string and_cost(std::uint64_t nano_usd, const char* separator = ", ") {
  return nano_usd == 0 ? ""
                       : fmt::format("{}${:.4f}", separator, static_cast<double>(nano_usd) / 1e9);
}

// The same with what it may be at most, where that is said.
inline std::string and_cost_of(std::uint64_t nano_usd, Usd budget, const char* separator = ", ") {
  if (!budget) return and_cost(nano_usd, separator);
  return fmt::format("{}${:.4f} of ${:.4f}", separator, static_cast<double>(nano_usd) / 1e9,
                     static_cast<double>(budget.nano) / 1e9);
}

inline Usd usd_of(double usd) {
  return {static_cast<std::uint64_t>(std::llround(usd * 1e9))};
}

} // namespace gristmill::cli
