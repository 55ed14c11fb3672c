// SQLITE: the two objects of the library that the journal and the answer cache need, with Results
// for return codes. A connection is used by one thread at a time. Debian 12's SQLite can corrupt a
// file with a write-ahead log that two connections write or checkpoint: such a file is opened
// exclusively and stays so, and one that is shared has a rollback journal.
// Invariant: sqlite3.h is included by sqlite.cpp and nowhere else.
#pragma once

#include "protocol/result.hpp"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace gristmill::coordinator {

// What is known of one connection beside what its calls return.
struct ConnectionNews {
  int log_pages = 0;
  bool is_shared = false, is_damaged = false;
};

struct Blob {
  std::string_view bytes;
};

class Statement {
public:
  // Binds all parameters, runs to the end and is ready for the next time.
  template <class... Args> Result<> run(const Args&... args) {
    start(args...);
    auto row = next();
    reset();
    GRISTMILL_TRY(row);
    return {};
  }

  // Binds all parameters; then next() until it is false, reading columns after each. Text and
  // blobs live until the following call.
  template <class... Args> void start(const Args&... args) {
    reset();
    int index = 0;
    (bind(++index, args), ...);
  }
  Result<bool> next();
  void reset(); // no further row is wanted
  std::int64_t integer(int column) const;
  std::uint64_t number(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  std::string_view text(int column) const; // of a text or a blob

private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  void bind(int index, std::integral auto value) {
    bind_integer(index, static_cast<std::int64_t>(value));
  }
  void bind(int index, std::string_view text);
  void bind(int index, Blob blob);
  void bind_integer(int index, std::int64_t value);

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  ConnectionNews* news_ = nullptr; // of its database
};

class Database {
public:
  // Creates the file if it is absent.
  static Result<Database> open(const std::string& path);
  // One that other processes have open, too; the file is there. A call that others are in the way
  // of for longer than `patience` is `unavailable`.
  static Result<Database> open_shared(const std::string& path, std::chrono::milliseconds patience);

  Result<> execute(const std::string& sql); // any number of statements, no rows wanted
  Result<Statement> prepare(std::string_view sql);
  Result<std::string> value(std::string_view sql); // first column of the first row, else ""
  Result<std::int64_t> integer(std::string_view sql);
  int changes() const; // rows that the last statement wrote
  bool in_transaction() const;
  // A call has failed because the file is no database, or a broken one, or lacks a table.
  bool is_damaged() const { return news_ && news_->is_damaged; }

  // Pages in the write-ahead log since it was last written back.
  int log_pages() const { return news_->log_pages; }
  enum class Log { reuse, empty }; // what becomes of its file; a file to reuse syncs faster
  Result<> write_back(Log log);
  // False leaves the log as a crash would.
  void close(bool write_log_back);

private:
  struct Close {
    void operator()(sqlite3* database) const;
  };

  static Result<Database> open_with(const std::string& path, int flags);

  std::unique_ptr<ConnectionNews> news_;
  std::unique_ptr<sqlite3, Close> database_;
};

} // namespace gristmill::coordinator
