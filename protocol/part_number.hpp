// PART NUMBER: which part of its item a part is, as one number that lines, rows and frames carry:
//
//   model (6 bits) | level (5 bits) | index (21 bits)
//
// `model` is the place of the part's model in the order of the job's -m; the judge, which sees the
// answers of all models, stands behind the last. Level 0 are parts that are made of the item
// itself, the levels above it join answers of those below, and the highest is the judge's. Parts of
// one model wait for that model alone. Invariant: an item of one part has part 0.
#pragma once

#include <compare>
#include <cstdint>

namespace gristmill {

struct PartNumber {
  std::uint32_t model = 0, level = 0, index = 0;

  static constexpr std::uint32_t models_max = 63; // and the judge
  static constexpr std::uint32_t level_judge = 31, indices_max = 1u << 21;

  static constexpr PartNumber of(std::uint32_t value) {
    return {value >> 26, (value >> 21) & 31u, value & (indices_max - 1)};
  }
  static constexpr PartNumber judge(std::uint32_t models) { return {models, level_judge, 0}; }
  constexpr std::uint32_t value() const { return model << 26 | level << 21 | index; }
  constexpr bool is_judge() const { return level == level_judge; }
  constexpr bool is_reduce() const { return level > 0 && !is_judge(); }
  auto operator<=>(const PartNumber&) const = default;
};

} // namespace gristmill
