// ITEM SCAN: the lines of all items in the order of the input, each from the place that the order
// index names. A slice takes the next items up to some bytes and reads their lines as they lie in
// the segments, neighbours together: answers come nearly in input order, so most reads are long.
// Invariant: memory follows the slice and the longest line.
#pragma once

#include "actors/merger/segment_scan.hpp"

namespace gristmill::merger {

class ItemScan {
public:
  // Every item below `total` has a place.
  ItemScan(MergeFiles& files, std::uint64_t total, std::size_t slice_bytes)
      : files_{files}, total_{total}, slice_bytes_{slice_bytes} {}

  Result<bool> read_slice(); // false = every item was read
  std::optional<PlacedLine> next_line();

private:
  struct Wanted {
    LinePlace place;
    std::size_t at = 0; // in lines_
  };
  Result<std::size_t> choose_items();
  std::size_t run_from(std::size_t first) const;
  Result<> read_run(std::size_t first, std::size_t end);

  MergeFiles& files_;
  std::uint64_t total_, item_ = 0;
  std::size_t slice_bytes_;
  std::vector<Wanted> wanted_;       // of the slice, in input order
  std::vector<std::uint32_t> order_; // indices of wanted_ as their lines lie
  std::vector<char> lines_, run_;
  std::size_t next_ = 0; // of wanted_
};

} // namespace gristmill::merger
