// Seeded randomness, passed to whoever needs it: the same seed gives the same history.
// Algorithm: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
// 2014).
#pragma once

#include "actors/kit/time.hpp"

#include <cstdint>

namespace gristmill {

class Random {
public:
  explicit Random(std::uint64_t seed) : state_{seed} {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Uniform in [0, n); n > 0. The bias of the modulo is below 2^-32 for every n used here.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  // Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return unit() < probability; }
  Duration between(Duration low, Duration high) {
    return low +
           Duration{static_cast<std::int64_t>(unit() * static_cast<double>((high - low).count()))};
  }

private:
  std::uint64_t state_;
};

} // namespace gristmill
