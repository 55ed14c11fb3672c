// Plans of tests: an item as parts 0 to N - 1.
#pragma once

#include "actors/supervisor/parts/part_plan.hpp"

#include <numeric>

namespace gristmill::supervisor_test {

class CountedParts : public supervisor::PartPlan {
public:
  std::span<const std::uint32_t> parts_of(JobId, std::uint64_t item) const override {
    const std::uint32_t count = count_of(item);
    while (numbers_.size() < count) numbers_.push_back(static_cast<std::uint32_t>(numbers_.size()));
    return std::span{numbers_}.first(count);
  }
  virtual std::uint32_t count_of(std::uint64_t item) const = 0;

private:
  mutable std::vector<std::uint32_t> numbers_;
};

} // namespace gristmill::supervisor_test
