// AGREEMENT: how far two models give the same labels to the items that both labelled. Cohen's kappa
// is the part of the agreement beyond what chance would give to models that use each label as often
// as these do: (agreement - chance) / (1 - chance). 1 is full agreement, 0 no more than chance.
// Invariant: two counts are kept for each label, however many items there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace gristmill::merger {

class Agreement {
public:
  explicit Agreement(std::size_t labels) : counts_(labels) {}

  void add(std::size_t first, std::size_t second); // the labels of one item

  std::uint64_t items() const { return items_; }
  std::uint64_t agree() const { return agree_; }
  std::optional<double> share() const; // of the items; without one there is none
  // None without an item, or if both gave all items one label, which chance would do as well.
  std::optional<double> kappa() const;

private:
  std::vector<std::pair<std::uint64_t, std::uint64_t>> counts_; // of each label, by either
  std::uint64_t items_ = 0, agree_ = 0;
};

} // namespace gristmill::merger
