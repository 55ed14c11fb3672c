// SCRATCH PAGES: the window to a file without a name, for what grows with the items and is worth
// nothing after a restart. Pages are written once, one after the other, and read at random.
#pragma once

#include "protocol/result.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace gristmill::intake {

using Page = std::array<std::byte, 4096>;

class ScratchPages {
public:
  virtual ~ScratchPages() = default;
  virtual Result<std::uint64_t> append(const Page& page) = 0; // its number, from 0
  virtual Result<> read(std::uint64_t number, Page& into) = 0;
  virtual Result<> clear() = 0; // numbers begin at 0 again
};

} // namespace gristmill::intake
