#include "actors/merger/agreement.hpp"

#include <algorithm>

namespace gristmill::merger {

void Agreement::add(std::size_t first, std::size_t second) {
  ++items_;
  agree_ += first == second;
  ++counts_.at(first).first;
  ++counts_.at(second).second;
}

std::optional<double> Agreement::share() const {
  if (items_ == 0) return std::nullopt;
  return static_cast<double>(agree_) / static_cast<double>(items_);
}

std::optional<double> Agreement::kappa() const {
  // Only then is chance 1, and a sum of rounded numbers might miss it.
  const bool one_label = std::ranges::any_of(counts_, [this](const auto& count) {
    return count.first == items_ && count.second == items_;
  });
  if (items_ == 0 || one_label) return std::nullopt;
  const auto all = static_cast<double>(items_);
  double chance = 0;
  for (const auto& [first, second] : counts_)
    chance += static_cast<double>(first) / all * (static_cast<double>(second) / all);
  return (*share() - chance) / (1 - chance);
}

} // namespace gristmill::merger
