// SEEN IDS: whether an id came before in the same input, and in which line. Ids that are new are
// the rule, so a Bloom filter answers for nearly all of them; it grows with the ids (1.5 to 3 bytes
// for each of them, up to 256 MiB), and what it cannot exclude is looked up exactly. The exact
// record is a log of hashes in 4,096 buckets, each a chain of pages on disk whose newest page is in
// memory. Chains grow with the ids, so the filter must not fill up: at 12 bits an id and 100
// million ids half a page is read for one. A few ids are simply kept, so that an input that was
// hardly begun costs little. Ids are compared by 128 bits of SipHash.
// Invariant: up to `ids_max` ids, another one costs what it costs among a few; one that could not
// be kept for want of a descriptor is new when it comes again.
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
  static constexpr std::size_t buckets = 4'096, blocks_min = 256, blocks_max = 4'096 * 1'024;
  static constexpr std::size_t few_max = 128;
  static constexpr std::uint64_t bits_per_id = 12; // below that the filter grows, as long as it may
  static constexpr std::uint64_t ids_max = std::uint64_t{blocks_max} * 64 * 8 / bits_per_id;

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
  static constexpr std::size_t page_entries = 170;
  struct PageOfEntries;

  Block& block_of(const Entry& entry) { return blocks_[(entry.high >> 12) & (blocks_.size() - 1)]; }
  static Entry entry_of(std::string_view id, std::uint64_t line);
  template <class Entries> static std::uint64_t line_in(const Entries&, const Entry& entry);
  static bool add_to(Block& block, std::uint64_t bits); // true if it may have been there
  Result<std::uint64_t> look_up(const Bucket& bucket, const Entry& entry);
  Result<> write(Bucket& bucket);
  Result<> grow();
  Result<> remember(const Entry& entry);

  std::unique_ptr<ScratchPages> pages_;
  std::vector<Entry> few_; // all of them, until there is a table
  std::vector<Block> blocks_;
  std::vector<Bucket> table_;
  std::uint64_t count_ = 0, lookups_ = 0;
  bool on_disk_ = false;
};

} // namespace gristmill::intake
