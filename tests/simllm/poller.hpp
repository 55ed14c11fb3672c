// The kernel's side of an event loop: an epoll set with a bell that other threads can ring.
//
// Every descriptor is watched under a number of the caller's choice, which comes back with its
// events. Invariant: `wait` returns at the latest when the due time has come or the bell has rung.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <sys/epoll.h>

namespace gristmill::simllm {

class Poller {
public:
  static constexpr std::uint64_t bell = ~std::uint64_t{0};
  static constexpr std::uint64_t never = ~std::uint64_t{0};

  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void add(int fd, std::uint32_t events, std::uint64_t number);
  void change(int fd, std::uint32_t events, std::uint64_t number);
  void remove(int fd);

  // The events that have come, waiting for the first one until `due_ns` of the boot-time clock.
  std::span<const epoll_event> wait(std::uint64_t due_ns);

  void ring() const;    // from any thread
  void silence() const; // after the bell has rung

private:
  void control(int operation, int fd, std::uint32_t events, std::uint64_t number);

  int epoll_;
  int bell_;
  std::array<epoll_event, 512> events_;
};

// CLOCK_BOOTTIME in nanoseconds: it goes on while a machine sleeps, and all processes share it.
std::uint64_t boot_time_ns();

} // namespace gristmill::simllm
