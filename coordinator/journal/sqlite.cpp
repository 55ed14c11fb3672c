#include "coordinator/journal/sqlite.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/resource.h>

namespace gristmill::coordinator {
namespace {

// SQLITE_ERROR is a table that is not there: all statements are known to be right.
bool tells_of_damage(int code) {
  return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB ||
         (code & 0xff) == SQLITE_ERROR || code == SQLITE_IOERR_SHORT_READ;
}

Error error_of(sqlite3* database, std::string_view doing, ConnectionNews& news) {
  const int code = sqlite3_extended_errcode(database);
  if (tells_of_damage(code)) news.is_damaged = true;
  const char* file = sqlite3_db_filename(database, "main");
  std::string message = fmt::format("{}: {} (SQLite code {})", file ? file : "journal",
                                    sqlite3_errmsg(database), code);
  const int reason = sqlite3_system_errno(database);
  if (reason != 0 && (code & 0xff) != SQLITE_FULL)
    message += fmt::format(", {}", std::strerror(reason));
  message += fmt::format(", at: {}", doing);
  // SQLite does not keep the reason of a write that failed.
  rlimit size{};
  if (code == SQLITE_IOERR_WRITE && ::getrlimit(RLIMIT_FSIZE, &size) == 0 &&
      size.rlim_cur != RLIM_INFINITY)
    message += fmt::format("; if it came to the limit on the size of files, {} bytes, raise that "
                           "(ulimit -f)",
                           size.rlim_cur);
  switch (code & 0xff) {
  case SQLITE_CANTOPEN:
    if (reason == EMFILE || reason == ENFILE) return {ErrorCode::unavailable, std::move(message)};
    return {ErrorCode::io, std::move(message)};
  case SQLITE_FULL: return {ErrorCode::disk_full, message + ": free some space"};
  case SQLITE_BUSY:
    return {news.is_shared ? ErrorCode::unavailable : ErrorCode::conflict,
            message + ": close the program that has it open"};
  case SQLITE_NOTADB:
    return {ErrorCode::conflict, message + (news.is_shared ? "" : ": this is no journal")};
  default: return {ErrorCode::io, std::move(message)};
  }
}

int count_log_pages(void* news, sqlite3*, const char*, int count) {
  static_cast<ConnectionNews*>(news)->log_pages = count;
  return SQLITE_OK;
}

} // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

// Binding fails for want of memory or for a wrong index only; an unbound parameter is NULL, which
// the tables refuse.
void Statement::bind_integer(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
}

// A view without data would be NULL, not empty.
void Statement::bind(int index, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), index, text.data() ? text.data() : "", text.size(), nullptr,
                      SQLITE_UTF8);
}

void Statement::bind(int index, Blob blob) {
  sqlite3_bind_blob64(statement_.get(), index, blob.bytes.data() ? blob.bytes.data() : "",
                      blob.bytes.size(), nullptr);
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
}

Result<bool> Statement::next() {
  switch (sqlite3_step(statement_.get())) {
  case SQLITE_ROW: return true;
  case SQLITE_DONE: return false;
  default:
    return tl::unexpected{
        error_of(sqlite3_db_handle(statement_.get()), sqlite3_sql(statement_.get()), *news_)};
  }
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {static_cast<const char*>(data), data ? static_cast<std::size_t>(size) : 0};
}

void Database::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

Result<Database> Database::open_with(const std::string& path, int flags) {
  Database opened;
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw,
                                   flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  opened.database_.reset(raw);
  opened.news_ = std::make_unique<ConnectionNews>();
  if (code != SQLITE_OK) return tl::unexpected{error_of(raw, "open " + path, *opened.news_)};
  return opened;
}

Result<Database> Database::open(const std::string& path) {
  auto opened = open_with(path, SQLITE_OPEN_CREATE);
  GRISTMILL_TRY(opened);
  // Before the first read: an exclusive connection keeps the log's index in its memory, another in
  // a file beside, for which a full disk may have no room.
  GRISTMILL_TRY(opened->execute("PRAGMA locking_mode=EXCLUSIVE"));
  // The hook replaces SQLite's own write-back at commit, which would swallow a failed sync.
  sqlite3_wal_hook(opened->database_.get(), count_log_pages, opened->news_.get());
  return opened;
}

Result<Database> Database::open_shared(const std::string& path,
                                       std::chrono::milliseconds patience) {
  auto opened = open_with(path, 0);
  GRISTMILL_TRY(opened);
  opened->news_->is_shared = true;
  sqlite3_busy_timeout(opened->database_.get(), static_cast<int>(patience.count()));
  return opened;
}

Result<> Database::execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return tl::unexpected{error_of(database_.get(), sql.substr(0, sql.find('\n')), *news_)};
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  Statement statement;
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  statement.statement_.reset(raw);
  statement.news_ = news_.get();
  if (code != SQLITE_OK) return tl::unexpected{error_of(database_.get(), sql, *news_)};
  return statement;
}

Result<std::string> Database::value(std::string_view sql) {
  auto statement = prepare(sql);
  GRISTMILL_TRY(statement);
  const auto row = statement->next();
  GRISTMILL_TRY(row);
  return std::string{*row ? statement->text(0) : std::string_view{}};
}

Result<std::int64_t> Database::integer(std::string_view sql) {
  auto statement = prepare(sql);
  GRISTMILL_TRY(statement);
  const auto row = statement->next();
  GRISTMILL_TRY(row);
  return *row ? statement->integer(0) : 0;
}

int Database::changes() const {
  return sqlite3_changes(database_.get());
}

bool Database::in_transaction() const {
  return sqlite3_get_autocommit(database_.get()) == 0;
}

Result<> Database::write_back(Log log) {
  const int mode = log == Log::reuse ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
  if (sqlite3_wal_checkpoint_v2(database_.get(), nullptr, mode, nullptr, nullptr) != SQLITE_OK)
    return tl::unexpected{error_of(database_.get(), "write back the log", *news_)};
  news_->log_pages = 0;
  return {};
}

void Database::close(bool write_log_back) {
  if (!database_) return;
  // SQLite writes back by itself when the last connection closes, unless told not to.
  if (!write_log_back)
    sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  database_.reset();
}

} // namespace gristmill::coordinator
