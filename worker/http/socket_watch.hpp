// SOCKET WATCH: the one epoll of the model client's thread, and the way to wake it.
//
// A connection stays registered while no call uses it: the next call on it then costs no system
// call here, and a server that hangs up is noticed at once. Other descriptors of libcurl (its
// resolver's) are closed behind our back, so they are registered only while wanted.
// Invariant: what is registered in the kernel is what the table says, for every open descriptor.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gristmill::worker {

class SocketWatch {
public:
  struct Event {
    int fd = -1;
    std::uint32_t shard = 0;
    bool read = false, write = false, hung_up = false;
    bool wanted = false; // false: nobody uses this connection now
  };

  SocketWatch();
  ~SocketWatch();
  SocketWatch(const SocketWatch&) = delete;
  SocketWatch& operator=(const SocketWatch&) = delete;

  void wake(); // any thread: ends the current or the next wait()
  // Replaces `events`; returns at the latest after timeout_ms (-1 = no limit).
  void wait(int timeout_ms, std::vector<Event>& events);

  void connection_opened(int fd);
  void connection_closed(int fd);                                // call before close()
  void want(int fd, std::uint32_t shard, bool read, bool write); // neither: nothing for now

private:
  struct Entry {
    std::uint32_t registered = 0, wanted = 0; // epoll events
    bool connection = false;
  };

  Entry& entry(int fd);
  void set_registered(int fd, std::uint32_t shard, std::uint32_t events);

  int epoll_ = -1, wake_fd_ = -1;
  std::atomic<bool> woken_{false};
  std::vector<Entry> entries_; // by descriptor
};

} // namespace gristmill::worker
