// CACHE TABLES: an answer cache as rows, for CacheStore, who holds the directory's lock around each
// transaction. Invariant: stored_bytes() is the sum over all entries.
#pragma once

#include "coordinator/cache/cached_entry.hpp"
#include "coordinator/journal/sqlite.hpp"
#include "protocol/request_key.hpp"
#include "protocol/result.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace gristmill::coordinator {

struct CacheContents {
  std::uint64_t entries = 0, bytes = 0, body_bytes = 0, bytes_max = 0, file_bytes = 0;
  std::int64_t oldest_use = 0, newest_use = 0; // hours; 0 = no entry
};

class CacheTables {
public:
  CacheTables();
  ~CacheTables();
  CacheTables(const CacheTables&) = delete;

  // The file is there; an empty one gets its tables. conflict: it is another's.
  Result<> open(const std::string& path, std::chrono::milliseconds patience);
  // Why a call failed: the file is broken.
  bool is_damaged() const { return database_.is_damaged() || contradicts_itself_; }

  Result<> begin_to_read();
  Result<> begin_to_write();
  Result<> commit();
  Result<> roll_back();

  struct Found {
    CachedEntry entry;
    std::int64_t used = 0;
  };
  Result<std::optional<Found>> find(const RequestKey& key);
  // False: the key has an entry.
  Result<bool> insert(const RequestKey& key, const CachedEntry& entry, std::int64_t used);
  // Unless it is another one by now.
  Result<> remove(const RequestKey& key, std::uint32_t checksum);
  Result<> note_use(const RequestKey& key, std::int64_t used);

  Result<std::uint64_t> stored_bytes();
  Result<std::uint64_t> bytes_max();
  Result<> set_bytes_max(std::uint64_t bytes);

  struct Removed {
    std::uint64_t entries = 0, bytes = 0;
    bool more = false; // entries_max was reached first
  };
  // Who was used before that hour, then who was used longest ago, until so many bytes are left.
  Result<Removed> remove_oldest(std::uint64_t to_bytes, std::int64_t used_before,
                                std::uint64_t entries_max);

  // Pages that hold nothing; they are used again before the file grows. Outside of transactions.
  Result<std::uint64_t> free_pages();
  Result<std::uint64_t> page_bytes();
  Result<> give_back(std::uint64_t pages);

  Result<CacheContents> contents();

private:
  struct Statements;
  Result<> create_if_empty(const std::string& path);
  Result<> check_schema(const std::string& path);
  Result<> prepare();
  Result<> correct_sum();
  Result<> remove(std::int64_t id);

  Database database_;
  bool contradicts_itself_ = false; // which SQLite does not see
  std::unique_ptr<Statements> sql_;
};

} // namespace gristmill::coordinator
