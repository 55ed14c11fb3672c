// PACK SIZE: how many inputs of a model go together in a call. RATE LIMITER finds out what the
// endpoints take, SUPERVISOR makes calls of it. Plain data.
#pragma once

#include <cstdint>
#include <string>

namespace gristmill {

// The first call to a model of which nothing is known.
inline constexpr std::uint32_t pack_first = 8;

struct PackSize {
  std::string model;                // empty = the job's, as of AcquireCall
  std::uint32_t most = 1;           // every endpoint has taken so many
  std::uint32_t trial = pack_first; // one call at a time may have so many, to find out; 0 = none
  std::uint32_t beside = 4;         // so many others may go meanwhile
  std::uint64_t tokens = 0;         // that the tightest window gives in two seconds; 0 = no window
  bool operator==(const PackSize&) const = default;
};

} // namespace gristmill
