#include "latency.hpp"

#include <charconv>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>

namespace gristmill::simllm {
namespace {

[[noreturn]] void refuse(std::string_view text) {
  throw std::invalid_argument("latency '" + std::string(text) +
                              "' is not one of 0, 50ms, const:50ms, uniform:10ms:90ms, "
                              "lognormal:50ms:0.5 (units us, ms, s)");
}

// The number at the start of the text, and what follows it.
std::pair<double, std::string_view> split_number(std::string_view text) {
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc{} || !(value >= 0) || !std::isfinite(value)) refuse(text);
  return {value, text.substr(static_cast<std::size_t>(end.ptr - text.data()))};
}

double parse_plain_number(std::string_view text) {
  const auto [value, rest] = split_number(text);
  if (!rest.empty()) refuse(text);
  return value;
}

std::pair<std::string_view, std::string_view> split_at_colon(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) refuse(text);
  return {text.substr(0, colon), text.substr(colon + 1)};
}

} // namespace

double parse_duration_us(std::string_view text) {
  const auto [value, unit] = split_number(text);
  if (unit == "us") return value;
  if (unit == "ms") return value * 1e3;
  if (unit == "s") return value * 1e6;
  if (unit.empty() && value == 0) return 0;
  refuse(text);
}

LatencyLaw LatencyLaw::parse(std::string_view text) {
  LatencyLaw law;
  if (text.find(':') == std::string_view::npos) {
    law.first_us = parse_duration_us(text);
    return law;
  }
  const auto [shape, rest] = split_at_colon(text);
  if (shape == "const") {
    law.first_us = parse_duration_us(rest);
    return law;
  }
  const auto [first, second] = split_at_colon(rest);
  law.first_us = parse_duration_us(first);
  if (shape == "uniform") {
    law.shape = Shape::uniform;
    law.second_us = parse_duration_us(second);
    if (law.second_us < law.first_us) refuse(text);
  } else if (shape == "lognormal") {
    law.shape = Shape::lognormal;
    law.sigma = parse_plain_number(second);
  } else {
    refuse(text);
  }
  return law;
}

std::uint64_t LatencyLaw::draw_us(std::uint64_t seed, Sighting seen) const {
  double value_us = first_us;
  if (shape == Shape::uniform) {
    value_us += draw(seed, latency_salt, seen) * (second_us - first_us);
  } else if (shape == Shape::lognormal) {
    const double u = draw(seed, latency_salt, seen);
    const double v = draw(seed, latency_salt + 1, seen);
    const double z = std::sqrt(-2 * std::log(1 - u)) * std::cos(2 * std::numbers::pi * v);
    value_us *= std::exp(sigma * z);
  }
  // A day is longer than any test waits and keeps the nanosecond arithmetic far from overflow.
  constexpr double day_us = 86400e6;
  return static_cast<std::uint64_t>(std::llround(value_us < day_us ? value_us : day_us));
}

} // namespace gristmill::simllm
