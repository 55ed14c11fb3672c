// The only source of chance: a hash of (seed, salt, checksum of the text, n-th time it was seen).
//
// Drawing from what a call is instead of from a stream makes every outcome independent of the order
// in which calls arrive: two runs with the same seed hurt the same items, and a test can compute
// beforehand which ones. The n-th time starts at 1, so a retry of the same text is a new draw.
//
//   mix(z)  = the finalizer of splitmix64, all in 64 bits:
//             z += 0x9e3779b97f4a7c15
//             z  = (z ^ z >> 30) * 0xbf58476d1ce4e5b9
//             z  = (z ^ z >> 27) * 0x94d049bb133111eb
//             z ^ z >> 31
//   hash    = mix(mix(mix(mix(seed) ^ salt) ^ crc) ^ nth)
//   draw    = (hash >> 11) / 2^53, at least 0 and below 1
//
// Salts: the fault with index i (from 0, in the order given) uses i; the latency uses 2^32, and
// 2^32 + 1 for the second draw of a lognormal.
#pragma once

#include <cstdint>

namespace gristmill::simllm {

inline constexpr std::uint64_t latency_salt = std::uint64_t{1} << 32;

// Which text a draw is for: its checksum, and how often it has been seen, this time included.
struct Sighting {
  std::uint32_t crc = 0;
  std::uint32_t nth = 1;
};

inline std::uint64_t mix(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

inline double draw(std::uint64_t seed, std::uint64_t salt, Sighting seen) {
  const std::uint64_t hash = mix(mix(mix(mix(seed) ^ salt) ^ seen.crc) ^ seen.nth);
  return static_cast<double>(hash >> 11) * 0x1.0p-53;
}

} // namespace gristmill::simllm
