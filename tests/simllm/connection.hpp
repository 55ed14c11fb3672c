// One client connection: its socket, the bytes waiting on either side, and the call in progress.
//
//   reading -> [in_line ->] [working ->] sending -> reading ...
//   reading -> hung, until the client goes away
//
// The connection moves bytes; the event loop decides. Invariant: `call` is not 0 exactly while the
// desk counts a call of this connection as in flight.
#pragma once

#include "counters.hpp"
#include "http.hpp"
#include "reply.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::simllm {

class Connection {
public:
  enum class Phase { reading, in_line, working, hung, sending };
  enum class Sent { all, blocked, broken };

  // Takes the descriptor over.
  Connection(int fd, std::uint32_t index, std::uint64_t number);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  bool closed() const { return fd_ < 0; }
  bool busy() const { return phase != Phase::reading; }
  void close();
  void reset(); // closes with a TCP reset

  void set_reply(Reply reply);
  const Reply& reply() const { return reply_; }
  Sent send_reply(); // as much as the socket takes; to be repeated after `blocked`
  void send_continue();

  const std::uint32_t index;  // in the event loop's table
  const std::uint64_t number; // in the log
  Phase phase = Phase::reading;
  HttpReader reader;
  std::string inbox; // bytes read that no complete request has used yet

  std::uint64_t call = 0; // arrival number of the call in progress
  CallSummary summary;
  bool holds_slot = false;
  std::uint64_t latency_us = 0;
  bool watches_output = false; // EPOLLOUT is asked for

private:
  std::string_view next_piece() const;

  int fd_;
  Reply reply_;
  std::uint64_t sent_ = 0;
};

} // namespace gristmill::simllm
