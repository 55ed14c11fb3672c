#include "actors/intake/seen_ids.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <sodium.h>

namespace gristmill::intake {

struct SeenIds::PageOfEntries {
  std::uint64_t before; // the page before in the same bucket: number + 1; 0 = none
  std::uint64_t unused;
  std::array<Entry, page_entries> entries;
};

SeenIds::Entry SeenIds::entry_of(std::string_view id, std::uint64_t line) {
  static_assert(sizeof(PageOfEntries) == std::tuple_size_v<Page>);
  static constexpr std::array<unsigned char, crypto_shorthash_siphashx24_KEYBYTES> key{};
  std::array<std::uint64_t, 2> hash{};
  static_assert(sizeof hash == crypto_shorthash_siphashx24_BYTES);
  crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(hash.data()),
                              reinterpret_cast<const unsigned char*>(id.data()), id.size(),
                              key.data());
  return {hash[0], hash[1], line};
}

template <class Entries>
std::uint64_t SeenIds::line_in(const Entries& entries, const Entry& entry) {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) {
    return e.high == entry.high && e.low == entry.low;
  });
  return it == entries.end() ? 0 : it->line;
}

Result<std::uint64_t> SeenIds::find(std::string_view id) {
  const Entry entry = entry_of(id, 0);
  if (table_.empty()) return line_in(few_, entry);
  Block block = block_of(entry); // a copy: asking is not adding
  return add_to(block, entry.low) ? look_up(table_[entry.high % buckets], entry) : 0;
}

// A job that waits has read a few ids, and a table is 144 KiB.
Result<std::uint64_t> SeenIds::add(std::string_view id, std::uint64_t line) {
  const Entry entry = entry_of(id, line);
  if (table_.empty()) {
    if (const auto first = line_in(few_, entry)) return first;
    if (few_.size() < few_max) {
      few_.push_back(entry);
      return 0;
    }
    table_.resize(buckets);
    blocks_.resize(blocks_min);
    for (const Entry& one : few_) {
      add_to(block_of(one), one.low);
      GRISTMILL_TRY(remember(one));
    }
    few_ = {};
  }
  if (add_to(block_of(entry), entry.low)) {
    ++lookups_;
    const auto first = look_up(table_[entry.high % buckets], entry);
    if (!first || *first != 0) return first;
  }
  GRISTMILL_TRY(remember(entry));
  return 0;
}

Result<> SeenIds::remember(const Entry& entry) {
  Bucket& bucket = table_[entry.high % buckets];
  if (bucket.entries.size() == page_entries) GRISTMILL_TRY(write(bucket));
  if (bucket.entries.size() == bucket.entries.capacity()) // never more than a page
    bucket.entries.reserve(std::clamp(bucket.entries.size() * 2, std::size_t{4}, page_entries));
  bucket.entries.push_back(entry);
  if (++count_ * bits_per_id > blocks_.size() * sizeof(Block) * 8 && blocks_.size() < blocks_max)
    return grow();
  return {};
}

// Six bits of one cache line.
bool SeenIds::add_to(Block& block, std::uint64_t bits) {
  bool all = true;
  for (int i = 0; i < 6; ++i, bits >>= 9) {
    std::uint64_t& word = block[bits >> 6 & 7];
    const std::uint64_t bit = std::uint64_t{1} << (bits & 63);
    all &= (word & bit) != 0;
    word |= bit;
  }
  return all;
}

Result<std::uint64_t> SeenIds::look_up(const Bucket& bucket, const Entry& entry) {
  if (const auto line = line_in(bucket.entries, entry)) return line;
  for (std::uint64_t page = bucket.newest_page; page != 0;) {
    Page bytes;
    GRISTMILL_TRY(pages_->read(page - 1, bytes));
    const auto written = std::bit_cast<PageOfEntries>(bytes);
    if (const auto line = line_in(written.entries, entry)) return line;
    page = written.before;
  }
  return 0;
}

Result<> SeenIds::write(Bucket& bucket) {
  PageOfEntries page{bucket.newest_page, 0, {}};
  std::copy(bucket.entries.begin(), bucket.entries.end(), page.entries.begin());
  const auto number = pages_->append(std::bit_cast<Page>(page));
  GRISTMILL_TRY(number);
  bucket.newest_page = *number + 1;
  bucket.entries.clear();
  on_disk_ = true;
  return {};
}

// Every hash is in the log, so a larger filter can be made from it.
Result<> SeenIds::grow() {
  blocks_.assign(std::min(blocks_.size() * 2, blocks_max), Block{});
  for (const Bucket& bucket : table_) {
    for (const Entry& entry : bucket.entries) add_to(block_of(entry), entry.low);
    for (std::uint64_t page = bucket.newest_page; page != 0;) {
      Page bytes;
      GRISTMILL_TRY(pages_->read(page - 1, bytes));
      const auto written = std::bit_cast<PageOfEntries>(bytes);
      for (const Entry& entry : written.entries) add_to(block_of(entry), entry.low);
      page = written.before;
    }
  }
  return {};
}

Result<> SeenIds::clear() {
  few_.clear();
  blocks_ = {};
  table_ = {};
  count_ = 0;
  if (!std::exchange(on_disk_, false)) return {};
  return pages_->clear();
}

} // namespace gristmill::intake
