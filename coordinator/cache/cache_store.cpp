#include "coordinator/cache/cache_store.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace gristmill::coordinator {
namespace {

using Access = CacheConnection::Access;

constexpr std::int64_t hour_s = 3'600;
constexpr std::int64_t whenever_used = std::numeric_limits<std::int64_t>::min();
constexpr std::uint64_t as_many_as_it_takes = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t uses_max = 4'096; // then they are written
// How much one transaction removes or gives back where others wait.
constexpr std::uint64_t removed_at_once = 10'000, removed_by_put = 2'000, pages_at_once = 4'096;

Error refusal(CacheOutcome outcome, const CacheConnection& connection) {
  if (outcome == CacheOutcome::full)
    return {ErrorCode::disk_full,
            fmt::format("expected some space on the disk of {}, it is full: free some",
                        connection.path())};
  return {ErrorCode::unavailable,
          fmt::format("expected the answer cache in {} to be free within {} ms, another process "
                      "has it: try again",
                      connection.path(), connection.patience().count())};
}

} // namespace

Result<CacheStore> CacheStore::open(const std::string& directory, std::uint64_t bytes_max,
                                    std::chrono::milliseconds patience) {
  auto made = CacheDirectory::make(directory);
  GRISTMILL_TRY(made);
  CacheStore store{CacheConnection{std::move(*made), CachePurpose::keep, patience}, bytes_max};
  GRISTMILL_TRY(store.shrink_to_bound());
  return store;
}

Result<CacheStore> CacheStore::open_to_look(const std::string& directory,
                                            std::chrono::milliseconds patience) {
  auto found = CacheDirectory::find(directory);
  GRISTMILL_TRY(found);
  CacheStore store{CacheConnection{std::move(*found), CachePurpose::look, patience}, 0};
  const auto stats = store.stats();
  GRISTMILL_TRY(stats);
  store.bytes_max_ = stats->bytes_max;
  return store;
}

CacheStore::~CacheStore() {
  // A use that is not noted costs an entry at worst.
  if (!uses_.empty()) (void)write([](CacheTables&) -> Result<> { return {}; });
}

CacheCounts CacheStore::counts() const {
  CacheCounts counts = counts_;
  counts.damaged_files = connection_.damaged_files();
  return counts;
}

Result<CacheOutcome> CacheStore::write(const CacheConnection::Work& work) {
  auto outcome = connection_.within(Access::write, [&](CacheTables& tables) -> Result<> {
    for (const auto& [key, hour] : uses_) GRISTMILL_TRY(tables.note_use(key, hour));
    return work(tables);
  });
  if (outcome && (*outcome == CacheOutcome::done || *outcome == CacheOutcome::damaged))
    uses_.clear();
  return outcome;
}

Result<CacheStore::Answers> CacheStore::find(std::span<const RequestKey> keys, std::int64_t now,
                                             std::size_t bytes_max) {
  LookedFor looked;
  const auto outcome = connection_.within(Access::read, [&](CacheTables& tables) -> Result<> {
    looked = {};
    for (const RequestKey& key : keys) {
      if (looked.bytes >= bytes_max) break;
      GRISTMILL_TRY(look_up(tables, key, now / hour_s, looked));
    }
    return {};
  });
  GRISTMILL_TRY(outcome);
  if (*outcome == CacheOutcome::busy) counts_.unasked_busy += keys.size();
  if (*outcome != CacheOutcome::done) looked.answers.resize(keys.size());
  if (!looked.damaged.empty() || uses_.size() >= uses_max) remove(looked.damaged);
  return std::move(looked.answers);
}

Result<> CacheStore::look_up(CacheTables& tables, const RequestKey& key, std::int64_t hour,
                             LookedFor& looked) {
  std::optional<KnownAnswer>& answer = looked.answers.emplace_back();
  if (!key) return {};
  auto found = tables.find(key);
  GRISTMILL_TRY(found);
  if (!*found) return {};
  const std::uint32_t checksum = (*found)->entry.checksum;
  answer = answer_of(key, std::move((*found)->entry));
  if (!answer) {
    looked.damaged.push_back({key, checksum});
    return {};
  }
  looked.bytes += answer->body.size();
  if ((*found)->used < hour && uses_.size() < uses_max) uses_[key] = hour;
  return {};
}

// If it cannot be done now, they are found damaged again, and the uses wait.
void CacheStore::remove(const std::vector<Damaged>& damaged) {
  counts_.damaged_entries += damaged.size();
  (void)write([&](CacheTables& tables) -> Result<> {
    for (const auto& [key, checksum] : damaged) GRISTMILL_TRY(tables.remove(key, checksum));
    return {};
  });
}

Result<> CacheStore::put(const NewAnswers& answers, std::int64_t now) {
  const std::vector<Row> rows = rows_of(answers, now);
  if (rows.empty()) return {};
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto outcome =
        write([&](CacheTables& tables) { return keep(tables, rows, now / hour_s); });
    GRISTMILL_TRY(outcome);
    if (*outcome == CacheOutcome::busy) counts_.dropped_busy += rows.size();
    if (*outcome == CacheOutcome::full) counts_.dropped_full += rows.size();
    if (*outcome != CacheOutcome::damaged) return {};
  }
  return fail(ErrorCode::io, fmt::format("expected an empty answer cache in {} to be whole, it is "
                                         "damaged again: look at its disk",
                                         connection_.path()));
}

std::vector<CacheStore::Row> CacheStore::rows_of(const NewAnswers& answers, std::int64_t now) {
  std::vector<Row> rows;
  for (const auto& [key, answer] : answers) {
    if (!key) continue;
    auto entry = entry_of(key, answer, now);
    if (entry && entry->bytes() <= bytes_left())
      rows.push_back({key, std::move(*entry)});
    else
      ++counts_.dropped_large;
  }
  return rows;
}

Result<> CacheStore::keep(CacheTables& tables, const std::vector<Row>& rows, std::int64_t hour) {
  for (const Row& row : rows) {
    const auto is_new = tables.insert(row.key, row.entry, hour);
    GRISTMILL_TRY(is_new);
    if (!*is_new) GRISTMILL_TRY(keep_in_place(tables, row, hour));
  }
  const auto stored = tables.stored_bytes();
  GRISTMILL_TRY(stored);
  return *stored <= bytes_max_ ? Result<>{} : make_room(tables, *stored);
}

// Of a large cache a tenth is much to remove while others wait: less is, but for what is beyond.
Result<> CacheStore::make_room(CacheTables& tables, std::uint64_t stored) {
  for (bool more = true; more && stored > bytes_max_;) {
    const auto removed = tables.remove_oldest(bytes_left(), whenever_used, removed_by_put);
    GRISTMILL_TRY(removed);
    stored -= std::min(stored, removed->bytes);
    more = removed->more;
  }
  // The pages that were freed are wanted again soon; more than that were not.
  const auto free = tables.free_pages();
  GRISTMILL_TRY(free);
  const auto page_bytes = tables.page_bytes();
  GRISTMILL_TRY(page_bytes);
  const std::uint64_t wanted = bytes_max_ / 5 / *page_bytes;
  return *free > wanted ? tables.give_back(std::min(*free - wanted, pages_at_once)) : Result<>{};
}

Result<> CacheStore::keep_in_place(CacheTables& tables, const Row& row, std::int64_t hour) {
  auto there = tables.find(row.key);
  GRISTMILL_TRY(there);
  if (!*there) return {};
  const std::uint32_t checksum = (*there)->entry.checksum;
  if (answer_of(row.key, std::move((*there)->entry))) return {};
  ++counts_.damaged_entries;
  GRISTMILL_TRY(tables.remove(row.key, checksum));
  return tables.insert(row.key, row.entry, hour).map([](bool) {});
}

Result<CacheStats> CacheStore::stats() {
  CacheContents found;
  const auto outcome = connection_.within(Access::read, [&](CacheTables& tables) {
    return tables.contents().map([&](const CacheContents& contents) { found = contents; });
  });
  GRISTMILL_TRY(outcome);
  if (*outcome == CacheOutcome::damaged) return CacheStats{.bytes_max = bytes_max_}; // empty now
  if (*outcome != CacheOutcome::done) return tl::unexpected{refusal(*outcome, connection_)};
  return CacheStats{.entries = found.entries,
                    .bytes = found.bytes,
                    .body_bytes = found.body_bytes,
                    .oldest_use = found.oldest_use * hour_s,
                    .newest_use = found.newest_use * hour_s,
                    .bytes_max = found.bytes_max,
                    .file_bytes = found.file_bytes};
}

Result<CachePruned> CacheStore::prune(std::uint64_t to_bytes,
                                      std::optional<std::chrono::seconds> unused_for,
                                      std::int64_t now) {
  // Of an hour it is not known when in it an entry was used: perhaps at its end.
  auto pruned = shrink(to_bytes, unused_for ? (now - unused_for->count()) / hour_s : whenever_used);
  GRISTMILL_TRY(pruned);
  GRISTMILL_TRY(give_back_pages());
  return pruned;
}

// A cache that others hold, or that finds no space, is one for later.
Result<> CacheStore::shrink_to_bound() {
  std::uint64_t stored = 0;
  const auto outcome = connection_.within(Access::write, [&](CacheTables& tables) -> Result<> {
    GRISTMILL_TRY(tables.set_bytes_max(bytes_max_));
    return tables.stored_bytes().map([&](std::uint64_t bytes) { stored = bytes; });
  });
  GRISTMILL_TRY(outcome);
  if (stored <= bytes_max_) return {};
  if (shrink(bytes_left(), whenever_used)) (void)give_back_pages();
  return {};
}

Result<CachePruned> CacheStore::shrink(std::uint64_t to_bytes, std::int64_t used_before) {
  CachePruned pruned;
  for (bool more = true; more;) {
    CacheTables::Removed removed;
    const auto outcome = write([&](CacheTables& tables) {
      return tables.remove_oldest(to_bytes, used_before, removed_at_once)
          .map([&](const CacheTables::Removed& gone) { removed = gone; });
    });
    GRISTMILL_TRY(outcome);
    if (*outcome == CacheOutcome::damaged) return pruned; // nothing is left
    if (*outcome != CacheOutcome::done) return tl::unexpected{refusal(*outcome, connection_)};
    pruned.entries += removed.entries;
    pruned.bytes += removed.bytes;
    more = removed.more;
  }
  return pruned;
}

Result<> CacheStore::give_back_pages() {
  for (std::uint64_t before = as_many_as_it_takes, free = 0;; before = free) {
    const auto outcome = write([&](CacheTables& tables) -> Result<> {
      GRISTMILL_TRY(tables.give_back(pages_at_once));
      return tables.free_pages().map([&](std::uint64_t pages) { free = pages; });
    });
    GRISTMILL_TRY(outcome);
    if (*outcome == CacheOutcome::damaged) return {};
    if (*outcome != CacheOutcome::done) return tl::unexpected{refusal(*outcome, connection_)};
    if (free == 0 || free >= before) return {};
  }
}

} // namespace gristmill::coordinator
