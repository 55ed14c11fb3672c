// CACHE SCHEMA: the tables of an answer cache. `used` is in hours since 1970: a hit is written once
// an hour at most. Invariant: a cache of another version is refused and left as it is.
#pragma once

#include <cstdint>

namespace gristmill::coordinator {

inline constexpr const char* cache_file_name = "answers.db";
inline constexpr std::uint32_t cache_application_id = 0x476d6163; // "Gmac"

// Rises with every change of a table.
inline constexpr std::uint32_t cache_version = 1;

// Answers of a few kilobytes leave half of a smaller page empty.
inline constexpr const char* cache_pages = "PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL";

inline constexpr const char* cache_schema = R"(
-- stored_bytes: the sum of entries.bytes. bytes_max: as the last that opened it was told.
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('stored_bytes', 0), ('bytes_max', 0);
-- packed: the body in zstd, of `size` bytes. checksum, created: as of CachedEntry. What is large
-- stands last, where nobody who wants the rest has to pass it.
CREATE TABLE entries(
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, http_status INTEGER NOT NULL,
  request_id TEXT NOT NULL, model TEXT NOT NULL, endpoint TEXT NOT NULL, size INTEGER NOT NULL,
  created INTEGER NOT NULL, checksum INTEGER NOT NULL, used INTEGER NOT NULL,
  bytes INTEGER NOT NULL, packed BLOB NOT NULL);
-- Who goes next, and all that is counted, without a look at the entries themselves.
CREATE INDEX entries_by_use ON entries(used, id, bytes, size);
CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
  UPDATE meta SET value = value + new.bytes WHERE key = 'stored_bytes';
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
  UPDATE meta SET value = value - old.bytes WHERE key = 'stored_bytes';
END;
)";

} // namespace gristmill::coordinator
