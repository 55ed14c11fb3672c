// One connection of a link, from dialling to its end: a DEALER and the monitor that tells about it.
// ZeroMQ dials again by itself while nobody answers; once the connection has been up, or its
// handshake has failed, this object is spent. Invariant: used by one thread, and never blocks it.
#pragma once

#include "worker/link/link_trouble.hpp"
#include "worker/link/zmq_link.hpp"

namespace zmq {
class context_t;
}

namespace gristmill::worker {

class ZmqConnection {
public:
  // usage: the address is none.
  static Result<std::unique_ptr<ZmqConnection>> dial(zmq::context_t& context,
                                                     const LinkOptions& options);
  ~ZmqConnection(); // what was sent may leave for as long as linger() said

  // Returns when there is news, a frame (if `reading`), room for one (if `writing`), after
  // timeout_ms (-1: never), or when the descriptor can be read, and whether it can.
  bool wait(int wake_fd, bool reading, bool writing, long timeout_ms);

  struct News {
    bool up = false;
    LinkTrouble trouble{}; // unless up
  };
  std::optional<News> next_news();
  bool receive(std::string& frame);        // false: there is none now
  bool try_send(const std::string& frame); // false: no room
  void linger(long ms);

private:
  struct Sockets;
  explicit ZmqConnection(std::unique_ptr<Sockets> sockets);
  std::unique_ptr<Sockets> sockets_;
};

} // namespace gristmill::worker
