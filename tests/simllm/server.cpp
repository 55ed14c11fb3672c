#include "server.hpp"

#include <cerrno>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace gristmill::simllm {
namespace {

struct Address {
  std::string host;
  std::string port;
};

// HOST:PORT, where an IPv6 host stands in brackets.
Address parse_address(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    throw std::invalid_argument("--listen '" + text + "' is not HOST:PORT");
  }
  Address address{text.substr(0, colon), text.substr(colon + 1)};
  if (address.host.front() == '[' && address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void set_option(int fd, int level, int option) {
  const int on = 1;
  ::setsockopt(fd, level, option, &on, sizeof on);
}

int open_listener(const std::string& text) {
  const Address address = parse_address(text);
  addrinfo wish{};
  wish.ai_socktype = SOCK_STREAM;
  wish.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &wish, &found)) {
    throw std::invalid_argument("--listen '" + text + "': " + ::gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  set_option(fd, SOL_SOCKET, SO_REUSEADDR);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY); // accepted sockets inherit it
  constexpr int backlog = 16384;            // the kernel cuts it to its own maximum
  if (::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, backlog) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    fail("cannot listen on " + text);
  }
  return fd;
}

unsigned port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address.ss_family == AF_INET6
             ? ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port)
             : ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

} // namespace

Server::Server(const Options& options)
    : listener_(open_listener(options.listen)),
      host_(options.listen.substr(0, options.listen.rfind(':'))), desk_(options) {
  for (std::uint32_t id = 0; id < options.threads; ++id) {
    loops_.push_back(std::make_unique<Loop>(id, listener_, desk_, options, [this](Ticket ticket) {
      loops_[ticket.loop]->deliver(ticket);
    }));
  }
}

Server::~Server() {
  stop();
  loops_.clear();
  ::close(listener_);
}

std::string Server::url() const {
  return "http://" + host_ + ":" + std::to_string(port_of(listener_)) + "/v1";
}

void Server::start() {
  for (auto& loop : loops_) threads_.emplace_back([&loop] { loop->run(); });
}

void Server::stop() {
  for (auto& loop : loops_) loop->stop();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  desk_.flush_log();
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

} // namespace gristmill::simllm
