// RANK TABLE: which strings of bytes are tokens of a vocabulary, and the rank of each. Of two pairs
// of tokens that could be joined, that of the lower rank is joined first; a rank is a token's
// number, too.
//
// Each slot of the table holds a token's first eight bytes, so that of most tokens nothing else is
// read; the whole bytes of longer ones lie one behind the other. Invariant: not one byte of a token
// goes uncompared: no text can be taken for another one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::bpe {

using Rank = std::uint32_t;
inline constexpr Rank no_rank = 0xffff'ffff;

class RankTable {
public:
  explicit RankTable(std::size_t tokens_max);

  // False: these bytes have a rank already. None are empty, and no more come than were announced.
  bool add(std::string_view bytes, Rank rank);

  Rank rank_of(std::string_view bytes) const; // no_rank: they are no token
  Rank rank_of_pair(unsigned char a, unsigned char b) const { return pairs_[a * 256u + b]; }

  std::size_t size() const { return size_; }
  std::size_t longest() const { return longest_; } // bytes
  std::size_t memory() const;                      // bytes that it holds

private:
  struct Slot {
    std::uint64_t head = 0;
    Rank rank = no_rank;
    std::uint32_t place = 0; // of a token of more than eight bytes; else how many it has
  };
  struct Long {
    std::size_t from = 0, bytes = 0; // in long_bytes_
  };

  std::size_t find(std::string_view bytes) const; // its slot, or the empty one where it belongs
  bool holds(const Slot& slot, std::uint64_t head, std::string_view bytes) const;

  std::vector<Slot> slots_; // a power of two, at most two thirds full
  std::vector<Rank> pairs_; // of any two bytes
  std::vector<Long> longs_;
  std::string long_bytes_;
  std::size_t size_ = 0, longest_ = 0;
};

} // namespace gristmill::bpe
