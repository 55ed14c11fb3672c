// USAGE: what a call took, as its endpoint reports it.
#pragma once

#include <cstdint>

namespace gristmill::protocol {

// Tokens as the endpoint reported them.
struct Usage {
  bool known = false;
  std::uint64_t prompt = 0, completion = 0, cached = 0, reasoning = 0;
  std::uint64_t total() const { return prompt + completion; }
  bool operator==(const Usage&) const = default;
};

} // namespace gristmill::protocol
