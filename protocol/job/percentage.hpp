// A percentage with four decimals at most, kept as a whole number so that what it decides is
// decided alike everywhere. Invariant: at most 100 %.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>
#include <optional>

namespace gristmill {

class Percentage {
public:
  static constexpr std::uint32_t whole = 1'000'000; // millionths

  constexpr Percentage() = default; // all of it
  // Nothing: it is not above 0, is above 100, or has more decimals.
  static std::optional<Percentage> of(double percent) {
    constexpr double hair = 1e-6; // of a double's own inexactness
    const double millionths = percent * 1e4;
    if (!(millionths >= 1 - hair && millionths <= whole)) return std::nullopt;
    if (std::fabs(millionths - std::round(millionths)) > hair) return std::nullopt;
    Percentage made;
    made.millionths_ = static_cast<std::uint32_t>(std::lround(millionths));
    return made;
  }

  constexpr std::uint32_t millionths() const { return millionths_; }
  constexpr double percent() const { return millionths_ / 1e4; }
  constexpr bool is_all() const { return millionths_ == whole; }
  constexpr auto operator<=>(const Percentage&) const = default;

private:
  std::uint32_t millionths_ = whole;
};

// What of() takes, for sentences.
inline constexpr const char* percentage_words =
    "a percentage above 0, up to 100, with four decimals at most";

} // namespace gristmill
