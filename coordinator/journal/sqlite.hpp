// SQLITE: the two objects of the library that the journal needs, with Results for return codes.
// One connection, used by one thread at a time: Debian 12's SQLite can corrupt a file that two
// connections write or checkpoint, so the file is opened exclusively and stays so.
// Invariant: sqlite3.h is included by sqlite.cpp and nowhere else.
#pragma once

#include "protocol/result.hpp"

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace gristmill::coordinator {

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
  void reset();

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
public:
  // Creates the file if it is absent.
  static Result<Database> open(const std::string& path);

  Result<> execute(const std::string& sql); // any number of statements, no rows wanted
  Result<Statement> prepare(std::string_view sql);
  Result<std::string> value(std::string_view sql); // first column of the first row, else ""
  Result<std::int64_t> integer(std::string_view sql);
  int changes() const; // rows that the last statement wrote
  bool in_transaction() const;

  // Pages in the write-ahead log since it was last written back.
  int log_pages() const { return *log_pages_; }
  enum class Log { reuse, empty }; // what becomes of its file; a file to reuse syncs faster
  Result<> write_back(Log log);
  // False leaves the log as a crash would.
  void close(bool write_log_back);

private:
  struct Close {
    void operator()(sqlite3* database) const;
  };

  std::unique_ptr<int> log_pages_;
  std::unique_ptr<sqlite3, Close> database_;
};

} // namespace gristmill::coordinator
