// The call log: one JSON object per line for every model call, in order of arrival.
//
//   n                  arrival number, from 1
//   t_ns               CLOCK_BOOTTIME when the last byte of the request had been read
//   attempt            X-Request-Id, or ""
//   path, model        as asked; model is "" when the body could not be read
//   crc                crc32 of TEXT, 8 lower-case hex digits; that of "" when it was unreadable
//   status             what will be answered, 0 for reset, hang and die_after_read
//   fault              the fault's kind, or ""
//   prompt_tokens      of the request
//   completion_tokens  that will be answered; 0 unless the status is 200
//   connection         number of the connection, from 1
//   latency_us         the time the model will take, without waiting for a slot; 0 when the call is
//                      turned away at the door
//   cached_tokens      only when there are any
//   inputs             only of embeddings: how many there are
//   body               only when asked for: the request's JSON as a string, "" when it was
//   unreadable
//
// Lines are gathered in memory and written in large pieces; the caller flushes at its own times.
// Invariant: the file never holds part of a line after a flush.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::simllm {

struct LogEntry {
  std::uint64_t n = 0;
  std::uint64_t t_ns = 0;
  std::string_view attempt;
  std::string_view path;
  std::string_view model;
  std::uint32_t crc = 0;
  int status = 0;
  std::string_view fault;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  std::uint64_t connection = 0;
  std::uint64_t latency_us = 0;
  std::uint64_t cached_tokens = 0; // 0: not written
  std::uint64_t inputs = 0;        // the same
  std::optional<std::string_view> body;
};

class CallLog {
public:
  // An empty path: nothing is logged. Throws std::system_error when the file cannot be made.
  explicit CallLog(const std::string& path);
  ~CallLog();
  CallLog(const CallLog&) = delete;
  CallLog& operator=(const CallLog&) = delete;

  bool enabled() const { return file_ >= 0; }
  void add(const LogEntry& entry);
  void flush();

private:
  int file_ = -1;
  std::string pending_;
};

} // namespace gristmill::simllm
