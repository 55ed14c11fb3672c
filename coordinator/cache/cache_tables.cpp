#include "coordinator/cache/cache_tables.hpp"

#include "coordinator/cache/cache_schema.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill::coordinator {
namespace {

// Read back, because a refused mode is not an error.
Result<> set_modes(Database& database, const std::string& path) {
  GRISTMILL_TRY(database.execute("PRAGMA synchronous=NORMAL; PRAGMA cell_size_check=ON"));
  const auto mode = database.value("PRAGMA journal_mode=TRUNCATE");
  GRISTMILL_TRY(mode);
  if (*mode != "truncate")
    return fail(ErrorCode::unavailable,
                fmt::format("expected journal mode truncate at {}, got {}: close the program that "
                            "has it open",
                            path, *mode));
  return {};
}

// What SQLite adds by itself is left out.
Result<std::string> schema_in(Database& database) {
  return database.value("SELECT group_concat(name || sql, ';') FROM (SELECT name, sql FROM "
                        "sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name)");
}

Result<std::uint64_t> number(Statement& statement) {
  statement.start();
  const auto row = statement.next();
  GRISTMILL_TRY(row);
  const std::uint64_t found = *row ? statement.number(0) : 0;
  statement.reset();
  return found;
}

} // namespace

// Each has its text in prepare().
struct CacheTables::Statements {
  Statement begin_to_read, begin_to_write, commit, find, insert, remove, note_use, stored_bytes,
      bytes_max, set_number, oldest, remove_id, free_pages, contents;
};

CacheTables::CacheTables() = default;
CacheTables::~CacheTables() = default;

Result<> CacheTables::open(const std::string& path, std::chrono::milliseconds patience) {
  auto database = Database::open_shared(path, patience);
  GRISTMILL_TRY(database);
  database_ = std::move(*database);
  GRISTMILL_TRY(create_if_empty(path));
  GRISTMILL_TRY(set_modes(database_, path));
  GRISTMILL_TRY(check_schema(path));
  GRISTMILL_TRY(prepare());
  return correct_sum();
}

Result<> CacheTables::create_if_empty(const std::string& path) {
  const auto tables = database_.integer("SELECT count(*) FROM sqlite_master");
  GRISTMILL_TRY(tables);
  const auto application = database_.integer("PRAGMA application_id");
  GRISTMILL_TRY(application);
  if (*application == cache_application_id) return {};
  if (*tables != 0)
    return fail(ErrorCode::conflict,
                fmt::format("expected an answer cache, {} is a database of another program: choose "
                            "another directory with --cache",
                            path));
  GRISTMILL_TRY(database_.execute(cache_pages));
  return database_.execute(
      fmt::format("BEGIN IMMEDIATE; PRAGMA application_id={}; PRAGMA user_version={}; {} COMMIT",
                  cache_application_id, cache_version, cache_schema));
}

// A broken trigger would fail nothing, and count nothing.
Result<> CacheTables::check_schema(const std::string& path) {
  const auto found = schema_in(database_);
  GRISTMILL_TRY(found);
  auto model = Database::open_shared(":memory:", {});
  GRISTMILL_TRY(model);
  GRISTMILL_TRY(model->execute(cache_schema));
  const auto expected = schema_in(*model);
  GRISTMILL_TRY(expected);
  contradicts_itself_ = *found != *expected;
  return contradicts_itself_
             ? fail(ErrorCode::io, fmt::format("{} has other tables than a cache has", path))
             : Result<>{};
}

Result<> CacheTables::prepare() {
  sql_ = std::make_unique<Statements>();
  const std::pair<Statement*, std::string_view> statements[] = {
      {&sql_->begin_to_read, "BEGIN"},
      {&sql_->begin_to_write, "BEGIN IMMEDIATE"},
      {&sql_->commit, "COMMIT"},
      {&sql_->find, "SELECT http_status, request_id, model, endpoint, size, created, checksum, "
                    "used, packed FROM entries WHERE key = ?"},
      {&sql_->insert, "INSERT INTO entries(key, http_status, request_id, model, endpoint, size, "
                      "created, checksum, used, bytes, packed) VALUES(?,?,?,?,?,?,?,?,?,?,?) "
                      "ON CONFLICT(key) DO NOTHING"},
      {&sql_->remove, "DELETE FROM entries WHERE key = ? AND checksum = ?"},
      {&sql_->note_use, "UPDATE entries SET used = ?2 WHERE key = ?1 AND used < ?2"},
      {&sql_->stored_bytes, "SELECT value FROM meta WHERE key = 'stored_bytes'"},
      {&sql_->bytes_max, "SELECT value FROM meta WHERE key = 'bytes_max'"},
      {&sql_->set_number, "INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE "
                          "SET value = excluded.value WHERE value <> excluded.value"},
      {&sql_->oldest,
       "SELECT id, used, bytes FROM entries INDEXED BY entries_by_use ORDER BY used, id"},
      {&sql_->remove_id, "DELETE FROM entries WHERE id = ?"},
      {&sql_->free_pages, "PRAGMA freelist_count"},
      {&sql_->contents, "SELECT count(*), sum(bytes), sum(size), min(used), max(used) "
                        "FROM entries INDEXED BY entries_by_use"}};
  for (const auto& [statement, text] : statements) {
    auto prepared = database_.prepare(text);
    GRISTMILL_TRY(prepared);
    *statement = std::move(*prepared);
  }
  return {};
}

// Written only if it is wrong, or not there: most starts find it right, and write nothing.
Result<> CacheTables::correct_sum() {
  const auto sum =
      database_.integer("SELECT coalesce(sum(bytes), 0) FROM entries INDEXED BY entries_by_use");
  GRISTMILL_TRY(sum);
  return sql_->set_number.run(std::string_view{"stored_bytes"}, *sum);
}

Result<> CacheTables::begin_to_read() {
  return sql_->begin_to_read.run();
}

Result<> CacheTables::begin_to_write() {
  return sql_->begin_to_write.run();
}

Result<> CacheTables::commit() {
  return sql_->commit.run();
}

// Of some errors SQLite has taken the transaction back itself.
Result<> CacheTables::roll_back() {
  return database_.in_transaction() ? database_.execute("ROLLBACK") : Result<>{};
}

Result<std::optional<CacheTables::Found>> CacheTables::find(const RequestKey& key) {
  Statement& row = sql_->find;
  row.start(Blob{key.view()});
  const auto is_there = row.next();
  GRISTMILL_TRY(is_there);
  if (!*is_there) return std::optional<Found>{};
  Found found{.entry = {.http_status = static_cast<std::uint32_t>(row.number(0)),
                        .request_id = std::string{row.text(1)},
                        .model = std::string{row.text(2)},
                        .endpoint = std::string{row.text(3)},
                        .packed = std::string{row.text(8)},
                        .size = row.number(4),
                        .created = row.integer(5),
                        .checksum = static_cast<std::uint32_t>(row.number(6))},
              .used = row.integer(7)};
  row.reset();
  return std::optional{std::move(found)};
}

Result<bool> CacheTables::insert(const RequestKey& key, const CachedEntry& entry,
                                 std::int64_t used) {
  GRISTMILL_TRY(sql_->insert.run(Blob{key.view()}, entry.http_status, entry.request_id, entry.model,
                                 entry.endpoint, entry.size, entry.created, entry.checksum, used,
                                 entry.bytes(), Blob{entry.packed}));
  return database_.changes() > 0;
}

Result<> CacheTables::remove(const RequestKey& key, std::uint32_t checksum) {
  return sql_->remove.run(Blob{key.view()}, checksum);
}

Result<> CacheTables::note_use(const RequestKey& key, std::int64_t used) {
  return sql_->note_use.run(Blob{key.view()}, used);
}

Result<std::uint64_t> CacheTables::stored_bytes() {
  return number(sql_->stored_bytes);
}

Result<std::uint64_t> CacheTables::bytes_max() {
  return number(sql_->bytes_max);
}

Result<> CacheTables::set_bytes_max(std::uint64_t bytes) {
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  return sql_->set_number.run(std::string_view{"bytes_max"}, std::min(bytes, most));
}

Result<CacheTables::Removed> CacheTables::remove_oldest(std::uint64_t to_bytes,
                                                        std::int64_t used_before,
                                                        std::uint64_t entries_max) {
  auto left = stored_bytes();
  GRISTMILL_TRY(left);
  Removed removed;
  std::vector<std::int64_t> ids;
  Statement& row = sql_->oldest;
  row.start();
  for (;;) {
    const auto is_there = row.next();
    GRISTMILL_TRY(is_there);
    if (!*is_there || (*left <= to_bytes && row.integer(1) >= used_before)) break;
    removed.more = ids.size() == entries_max;
    if (removed.more) break;
    ids.push_back(row.integer(0));
    removed.bytes += row.number(2);
    *left -= std::min(*left, row.number(2));
  }
  row.reset();
  for (const std::int64_t id : ids) GRISTMILL_TRY(remove(id));
  removed.entries = ids.size();
  return removed;
}

// What its index names is there.
Result<> CacheTables::remove(std::int64_t id) {
  GRISTMILL_TRY(sql_->remove_id.run(id));
  if (database_.changes() == 1) return {};
  contradicts_itself_ = true;
  return fail(ErrorCode::io, fmt::format("expected entry {} to be there, its index alone is", id));
}

Result<std::uint64_t> CacheTables::free_pages() {
  return number(sql_->free_pages);
}

Result<std::uint64_t> CacheTables::page_bytes() {
  const auto bytes = database_.integer("PRAGMA page_size");
  GRISTMILL_TRY(bytes);
  return static_cast<std::uint64_t>(*bytes);
}

Result<> CacheTables::give_back(std::uint64_t pages) {
  return database_.execute(fmt::format("PRAGMA incremental_vacuum({})", pages));
}

Result<CacheContents> CacheTables::contents() {
  const auto most = bytes_max();
  GRISTMILL_TRY(most);
  const auto file =
      database_.integer("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
  GRISTMILL_TRY(file);
  Statement& row = sql_->contents;
  row.start();
  const auto is_there = row.next();
  GRISTMILL_TRY(is_there);
  CacheContents contents{.entries = row.number(0),
                         .bytes = row.number(1),
                         .body_bytes = row.number(2),
                         .bytes_max = *most,
                         .file_bytes = static_cast<std::uint64_t>(*file),
                         .oldest_use = row.integer(3),
                         .newest_use = row.integer(4)};
  row.reset();
  return contents;
}

} // namespace gristmill::coordinator
