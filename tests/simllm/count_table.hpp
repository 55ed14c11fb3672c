// Counts how often each 64-bit key was seen, in 12 bytes per cell and nothing else.
//
// A benchmark sends a million texts and a million attempt ids; both are kept as hashes in an open
// table, because a node-based map would cost more memory than the rest of the server.
// Invariant: at most five cells in eight are used, so a probe stays short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gristmill::simllm {

class CountTable {
public:
  CountTable();

  std::uint32_t bump(std::uint64_t key); // the count, this time included
  void clear();

private:
  std::size_t cell_of(std::uint64_t key) const;
  void grow();

  std::vector<std::uint64_t> keys_; // 0: free
  std::vector<std::uint32_t> counts_;
  std::size_t used_ = 0;
};

} // namespace gristmill::simllm
