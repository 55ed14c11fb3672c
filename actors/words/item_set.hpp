// A set of item ordinals that is dense near its low end: everything below `low` is in it, the rest
// are bits above. Costs one bit for each item between the oldest missing and the newest present
// one, so a job's memory follows its window and not its corpus.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

namespace gristmill {

class ItemSet {
public:
  // Every item below is a member; the first item that is not.
  std::uint64_t low() const { return low_; }

  bool contains(std::uint64_t item) const {
    if (item < low_) return true;
    const std::uint64_t word = (item - base()) / 64;
    return word < words_.size() && (words_[word] >> ((item - base()) % 64) & 1);
  }

  // Returns false when it was a member already.
  bool insert(std::uint64_t item) {
    if (contains(item)) return false;
    const std::uint64_t word = (item - base()) / 64;
    if (word >= words_.size()) words_.resize(word + 1);
    words_[word] |= std::uint64_t{1} << ((item - base()) % 64);
    while (contains_bit(low_)) ++low_;
    while (!words_.empty() && low_ - base_ >= 64) {
      words_.pop_front();
      base_ += 64;
    }
    return true;
  }

  // Returns false when it was no member. Lowering `low` costs the bits in between.
  bool erase(std::uint64_t item) {
    if (!contains(item)) return false;
    if (words_.empty()) words_.resize(1);
    for (std::uint64_t below = base_; below < low_; ++below)
      set_bit(below); // raise_low leaves them
    while (base_ > item) {
      base_ -= 64;
      words_.push_front(~std::uint64_t{0});
    }
    words_[(item - base_) / 64] &= ~(std::uint64_t{1} << ((item - base_) % 64));
    low_ = std::min(low_, item);
    return true;
  }

  // Calls `use` with each member, lowest first.
  template <class Use> void for_each(Use use) const {
    for (std::uint64_t item = 0; item < low_; ++item) use(item);
    for (std::uint64_t item = low_; item < base_ + 64 * words_.size(); ++item)
      if (contains_bit(item)) use(item);
  }

  // Makes every item below a member.
  void raise_low(std::uint64_t low) {
    if (low <= low_) return;
    while (!words_.empty() && base_ + 64 <= low) {
      words_.pop_front();
      base_ += 64;
    }
    if (words_.empty()) base_ = low / 64 * 64;
    low_ = low;
    while (contains_bit(low_)) ++low_;
    while (!words_.empty() && low_ - base_ >= 64) {
      words_.pop_front();
      base_ += 64;
    }
    if (words_.empty()) base_ = low_ / 64 * 64;
  }

private:
  std::uint64_t base() const { return base_; }
  void set_bit(std::uint64_t item) {
    words_[(item - base_) / 64] |= std::uint64_t{1} << ((item - base_) % 64);
  }
  bool contains_bit(std::uint64_t item) const {
    const std::uint64_t word = (item - base_) / 64;
    return word < words_.size() && (words_[word] >> ((item - base_) % 64) & 1);
  }

  std::uint64_t low_ = 0;
  std::uint64_t base_ = 0; // of words_[0]; a multiple of 64, at most low_
  std::deque<std::uint64_t> words_;
};

} // namespace gristmill
