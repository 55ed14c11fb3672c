// SEEN IDS: whether an id came before in the same input, and in which line. Ids that are new are
// the rule, so a Bloom filter answers for nearly all of them; it grows with the ids up to 32 MiB,
// and what it cannot exclude is looked up exactly. The exact record is a log of hashes in 4,096
// buckets, each a chain of pages on disk whose newest page is in memory. Ids are compared by 128
// bits of SipHash. Invariant: memory is bounded by some 50 MiB however many ids there are.
#pragma once

#include "actors/intake/scratch_pages.hpp"

#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace gristmill::intake {

class SeenIds {
public:
  static constexpr std::size_t buckets = 4'096, blocks_min = 256, blocks_max = 512 * 1'024;

  explicit SeenIds(std::unique_ptr<ScratchPages> pages) : pages_{std::move(pages)} {}

  // The line in which the id came first; 0 if it is new, and then it is remembered with `line`.
  Result<std::uint64_t> add(std::string_view id, std::uint64_t line);
  // The same line, or 0; nothing is remembered.
  Result<std::uint64_t> find(std::string_view id);
  Result<> clear(); // another input begins

  std::size_t filter_bytes() const { return blocks_.size() * sizeof(Block); }
  std::uint64_t lookups() const { return lookups_; } // that the filter could not answer

private:
  struct Entry {
    std::uint64_t high, low, line;
  };
  struct Bucket {
    std::uint64_t newest_page = 0; // number + 1; 0 = none is on disk
    std::vector<Entry> entries;    // not yet on disk
  };
  using Block = std::array<std::uint64_t, 8>;
  static constexpr std::size_t page_entries = 170, few_max = 128;
  struct PageOfEntries;

  Block& block_of(const Entry& entry) { return blocks_[(entry.high >> 12) & (blocks_.size() - 1)]; }
  static Entry entry_of(std::string_view id, std::uint64_t line);
  static std::uint64_t line_in(std::span<const Entry> entries, const Entry& entry);
  static bool add_to(Block& block, std::uint64_t bits); // true if it may have been there
  Result<std::uint64_t> look_up(const Bucket& bucket, const Entry& entry);
  Result<> keep(const Entry& entry);
  Result<> write(Bucket& bucket);
  Result<> grow();

  std::unique_ptr<ScratchPages> pages_;
  std::vector<Entry> few_; // all of them, until they are worth a table
  std::vector<Block> blocks_;
  std::vector<Bucket> table_;
  std::uint64_t count_ = 0, lookups_ = 0;
  bool on_disk_ = false;
};

} // namespace gristmill::intake
