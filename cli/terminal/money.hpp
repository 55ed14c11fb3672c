// Money for people. Invariant: what has no price is not shown at all, rather than as nothing.
#pragma once

#include "protocol/job/usd.hpp"

#include <string>

namespace gristmill::cli {

// ", $1.2345"; empty when nothing that has a price was used.
inline std::string and_cost(Usd cost, const char* separator = ", ") {
  return cost ? separator + in_dollars(cost, 4) : "";
}

// The same with what it may be at most, where that is said.
inline std::string and_cost_of(Usd cost, Usd budget, const char* separator = ", ") {
  if (!budget) return and_cost(cost, separator);
  return separator + in_dollars(cost, 4) + " of " + in_dollars(budget, 4);
}

} // namespace gristmill::cli
