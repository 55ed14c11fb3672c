#include "worker/http/socket_watch.hpp"

#include "actors/kit/check.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace gristmill::worker {

SocketWatch::SocketWatch()
    : epoll_{epoll_create1(EPOLL_CLOEXEC)}, wake_fd_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  GRISTMILL_CHECK(epoll_ >= 0 && wake_fd_ >= 0, "no descriptor for the model client: {}",
                  std::strerror(errno));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<std::uint64_t>(wake_fd_);
  GRISTMILL_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_fd_, &event) == 0, "{}",
                  std::strerror(errno));
}

SocketWatch::~SocketWatch() {
  ::close(wake_fd_);
  ::close(epoll_);
}

void SocketWatch::wake() {
  if (woken_.exchange(true)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
}

void SocketWatch::wait(int timeout_ms, std::vector<Event>& events) {
  events.clear();
  std::array<epoll_event, 256> ready{};
  const int count = epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), timeout_ms);
  for (int i = 0; i < count; ++i) {
    const epoll_event& from = ready[static_cast<std::size_t>(i)];
    Event event;
    event.fd = static_cast<int>(from.data.u64 & 0xffff'ffffu);
    event.shard = static_cast<std::uint32_t>(from.data.u64 >> 32);
    if (event.fd == wake_fd_) {
      std::uint64_t ignored = 0;
      [[maybe_unused]] const auto got = ::read(wake_fd_, &ignored, sizeof ignored);
      woken_.store(false); // before the caller looks at its inbox
      continue;
    }
    event.read = (from.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0;
    event.write = (from.events & EPOLLOUT) != 0;
    event.hung_up = (from.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    event.wanted = entry(event.fd).wanted != 0;
    if (!event.wanted) set_registered(event.fd, event.shard, 0);
    events.push_back(event);
  }
}

void SocketWatch::connection_opened(int fd) {
  entry(fd) = {0, 0, true};
}
void SocketWatch::connection_closed(int fd) {
  entry(fd) = {};
}

void SocketWatch::want(int fd, std::uint32_t shard, bool read, bool write) {
  Entry& known = entry(fd);
  known.wanted =
      (read ? std::uint32_t{EPOLLIN} | EPOLLRDHUP : 0u) | (write ? std::uint32_t{EPOLLOUT} : 0u);
  const bool may_stay = known.connection && (known.registered & EPOLLOUT) == 0;
  if (known.wanted == 0 && may_stay) return;
  set_registered(fd, shard, known.wanted);
}

SocketWatch::Entry& SocketWatch::entry(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= entries_.size()) entries_.resize(index + 1);
  return entries_[index];
}

void SocketWatch::set_registered(int fd, std::uint32_t shard, std::uint32_t events) {
  Entry& known = entry(fd);
  if (known.registered == events) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = (std::uint64_t{shard} << 32) | static_cast<std::uint32_t>(fd);
  const int operation = events == 0             ? EPOLL_CTL_DEL
                        : known.registered == 0 ? EPOLL_CTL_ADD
                                                : EPOLL_CTL_MOD;
  known.registered = events;
  // A descriptor that was closed and given out again is not registered, whatever the table says.
  if (epoll_ctl(epoll_, operation, fd, &event) == 0 || operation == EPOLL_CTL_DEL) return;
  const int other = operation == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  [[maybe_unused]] const int result = epoll_ctl(epoll_, other, fd, &event);
}

} // namespace gristmill::worker
