#include "poller.hpp"

#include <cerrno>
#include <ctime>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

namespace gristmill::simllm {
namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

} // namespace

Poller::Poller()
    : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      bell_(checked(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
  add(bell_, EPOLLIN, bell);
}

Poller::~Poller() {
  ::close(bell_);
  ::close(epoll_);
}

void Poller::add(int fd, std::uint32_t events, std::uint64_t number) {
  control(EPOLL_CTL_ADD, fd, events, number);
}

void Poller::change(int fd, std::uint32_t events, std::uint64_t number) {
  control(EPOLL_CTL_MOD, fd, events, number);
}

void Poller::remove(int fd) {
  control(EPOLL_CTL_DEL, fd, 0, 0);
}

std::span<const epoll_event> Poller::wait(std::uint64_t due_ns) {
  timespec timeout{};
  if (due_ns != never && due_ns != 0) {
    const std::uint64_t now_ns = boot_time_ns();
    const std::uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    timeout.tv_sec = static_cast<time_t>(wait_ns / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(wait_ns % 1'000'000'000);
  }
  // epoll_wait counts in milliseconds, which is too coarse for the latencies that tests compare.
  const int count = ::epoll_pwait2(epoll_, events_.data(), static_cast<int>(events_.size()),
                                   due_ns == never ? nullptr : &timeout, nullptr);
  if (count < 0 && errno == EINTR) return {};
  return {events_.data(), static_cast<std::size_t>(checked(count, "epoll_pwait2"))};
}

void Poller::ring() const {
  ::eventfd_write(bell_, 1);
}

void Poller::silence() const {
  eventfd_t count = 0;
  ::eventfd_read(bell_, &count);
}

void Poller::control(int operation, int fd, std::uint32_t events, std::uint64_t number) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = number;
  checked(::epoll_ctl(epoll_, operation, fd, &event), "epoll_ctl");
}

std::uint64_t boot_time_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

} // namespace gristmill::simllm
