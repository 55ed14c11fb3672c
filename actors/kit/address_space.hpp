// Whether this process may have the address space that its threads need, asked once at start: a
// library that cannot start a thread ends the process without a word of ours.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>

namespace gristmill {

// Stacks of some twenty threads, and what they and the libraries map; little of it is ever touched.
inline constexpr std::uint64_t address_space_min = std::uint64_t{256} << 20;

// internal: `ulimit -v` allows less.
Result<> check_address_space();

} // namespace gristmill
