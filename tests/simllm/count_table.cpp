#include "count_table.hpp"

#include <utility>

namespace gristmill::simllm {
namespace {

constexpr std::size_t first_size = std::size_t{1} << 14; // a power of two, as the mask needs

} // namespace

CountTable::CountTable() : keys_(first_size), counts_(first_size) {}

std::uint32_t CountTable::bump(std::uint64_t key) {
  if (key == 0) key = 1; // 0 marks a free cell
  if (used_ * 8 >= keys_.size() * 5) grow();
  const std::size_t cell = cell_of(key);
  if (keys_[cell] == 0) {
    keys_[cell] = key;
    ++used_;
  }
  return ++counts_[cell];
}

void CountTable::clear() {
  *this = CountTable();
}

std::size_t CountTable::cell_of(std::uint64_t key) const {
  const std::size_t mask = keys_.size() - 1;
  std::size_t cell = key & mask;
  while (keys_[cell] != 0 && keys_[cell] != key) cell = (cell + 1) & mask;
  return cell;
}

void CountTable::grow() {
  const auto old_keys = std::exchange(keys_, std::vector<std::uint64_t>(keys_.size() * 2));
  const auto old_counts = std::exchange(counts_, std::vector<std::uint32_t>(keys_.size()));
  for (std::size_t i = 0; i < old_keys.size(); ++i) {
    if (old_keys[i] == 0) continue;
    const std::size_t cell = cell_of(old_keys[i]);
    keys_[cell] = old_keys[i];
    counts_[cell] = old_counts[i];
  }
}

} // namespace gristmill::simllm
