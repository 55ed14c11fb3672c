// Whether this process may have the address space that its threads need, asked once at start: a
// library that cannot start a thread ends the process without a word of ours.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>

namespace gristmill {

// Stacks and heaps of some twenty threads, as they are mapped; little of it is ever touched. With
// 600 MB a coordinator of two threads for its rooms starts, with 400 MB it does not.
inline constexpr std::uint64_t address_space_min = std::uint64_t{1} << 30;

// internal: `ulimit -v` allows less.
Result<> check_address_space();

} // namespace gristmill
