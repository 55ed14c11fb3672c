// Reading lines and writing them, through one buffer each and a file descriptor.
//
// The baseline must not win or lose by its file handling, so it does the least that any client has
// to: one copy in, one copy out. Invariant: memory does not grow with the file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gristmill::bench {

class LineReader {
public:
  explicit LineReader(const std::string& path); // throws std::system_error
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its end, good until the following call; false at the end of the file.
  bool next(std::string_view& line);

private:
  bool fill();

  int file_;
  std::string path_;
  std::string buffer_;
  std::size_t from_ = 0;
  std::size_t to_ = 0;
};

class LineWriter {
public:
  explicit LineWriter(const std::string& path); // throws std::system_error
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  std::string& pending() { return pending_; } // whole lines are appended here
  void write_if_full();
  void flush(); // throws std::system_error

private:
  int file_;
  std::string path_;
  std::string pending_;
};

} // namespace gristmill::bench
