// What the thread behind a socket window needs beside its socket: a Bell that wakes it, and a
// ReadGauge that tells it when to stop reading, because the mailboxes behind it have no bound.
// Invariants: a ring is never lost; reading never stays paused when everything was consumed.
#pragma once

#include "actors/kit/check.hpp"

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <pthread.h>
#include <stdexcept>
#include <sys/eventfd.h>
#include <unistd.h>

namespace gristmill {

class Bell {
public:
  Bell() : fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
    if (fd_ < 0) throw std::runtime_error{"no descriptor left for an eventfd: raise ulimit -n"};
  }
  ~Bell() { ::close(fd_); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  int fd() const { return fd_; } // readable while rung

  // Any thread. One system call for any number of rings between two answers.
  void ring() {
    if (!rung_.exchange(true)) ::eventfd_write(fd_, 1);
  }
  // The thread, before it looks at what it was rung for: a ring from now on wakes it again.
  void answer() {
    eventfd_t rings = 0;
    ::eventfd_read(fd_, &rings);
    rung_ = false;
  }

private:
  int fd_;
  std::atomic<bool> rung_{false};
};

// Counts bytes that were received and not yet consumed. Reading pauses at `bytes_max` and resumes
// at half of it, so that a slow consumer does not wake the thread for every frame.
class ReadGauge {
public:
  explicit ReadGauge(std::size_t bytes_max) : bytes_max_{bytes_max} {}

  // The thread.
  void received(std::size_t bytes) { pending_ += bytes; }
  bool may_read() {
    if (!paused_) {
      if (pending_ < bytes_max_) return true;
      paused_ = true;
    }
    // Asked after paused_ is visible: a consumer that came too early to see it is seen here.
    if (pending_ <= bytes_max_ / 2) paused_ = false;
    return !paused_;
  }

  // Any thread: true when the thread may be waiting for this.
  bool consumed(std::size_t bytes) {
    const std::size_t before = pending_.fetch_sub(bytes);
    GRISTMILL_CHECK(before >= bytes, "{} bytes consumed, {} received", bytes, before);
    return before - bytes <= bytes_max_ / 2 && paused_;
  }

private:
  const std::size_t bytes_max_;
  std::atomic<std::size_t> pending_{0};
  std::atomic<bool> paused_{false};
};

// Signals belong to main(): a socket's thread would answer one with EINTR in the middle of a frame.
inline void block_signals_of_this_thread() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

} // namespace gristmill
