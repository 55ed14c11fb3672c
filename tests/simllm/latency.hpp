// How long a simulated answer takes: a law read from text, and the time it draws for one call.
//
//   law      = "0" | duration | "const:" duration | "uniform:" duration ":" duration
//            | "lognormal:" median-duration ":" sigma
//   duration = number ("us" | "ms" | "s") | "0"
//
// With u and v the first and second draw of draw.hpp, in whole microseconds, rounded to nearest:
//   const      d
//   uniform    low + u * (high - low)
//   lognormal  median * exp(sigma * sqrt(-2 ln(1 - u)) * cos(2 pi v))
// Invariant: the latency of a call depends on nothing but seed, text and how often it was seen.
#pragma once

#include "draw.hpp"

#include <cstdint>
#include <string_view>

namespace gristmill::simllm {

struct LatencyLaw {
  enum class Shape { constant, uniform, lognormal };

  Shape shape = Shape::constant;
  double first_us = 0;  // the constant, the lower bound or the median
  double second_us = 0; // the upper bound
  double sigma = 0;

  // Throws std::invalid_argument with a sentence that names the text and the grammar.
  static LatencyLaw parse(std::string_view text);

  std::uint64_t draw_us(std::uint64_t seed, Sighting seen) const;
};

// A number with an optional unit-free zero, as in the grammar above; throws like parse.
double parse_duration_us(std::string_view text);

} // namespace gristmill::simllm
