// SOCKET SERVER: an HTTP server of plain sockets that does to its peer exactly what a test says:
// answer, hang, cut, reset. Each connection is served by its own thread with blocking calls, so a
// test's story reads from top to bottom. Invariant: every request that was read whole is counted.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace gristmill::test {

class SocketServer {
public:
  struct Request {
    std::string head, body;

    // The value of a header by its lower-case name; empty when absent.
    std::string header(std::string_view name) const {
      std::string lower = head;
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      const auto at = lower.find("\r\n" + std::string{name} + ": ");
      if (at == std::string::npos) return {};
      const auto start = at + name.size() + 4;
      return head.substr(start, head.find("\r\n", start) - start);
    }
  };

  class Connection {
  public:
    Connection(SocketServer& server, int fd) : server_{server}, fd_{fd} {}

    // Waits for a whole request; false when the peer is gone.
    bool read(Request& request) {
      std::size_t head_end = 0;
      while ((head_end = pending_.find("\r\n\r\n")) == std::string::npos)
        if (!receive()) return false;
      request.head = pending_.substr(0, head_end + 2);
      const std::string length = request.header("content-length");
      const std::size_t body = length.empty() ? 0 : std::stoul(length);
      while (pending_.size() < head_end + 4 + body)
        if (!receive()) return false;
      request.body = pending_.substr(head_end + 4, body);
      pending_.erase(0, head_end + 4 + body);
      server_.note_request(request);
      return true;
    }

    bool send(std::string_view text) {
      while (!text.empty()) {
        const auto sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(sent));
      }
      return true;
    }

    bool answer(std::string_view body, std::string_view headers = {}) {
      return send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + std::string{headers} +
                  "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                  std::string{body});
    }

    int fd() const { return fd_; } // for who speaks another protocol on it

    void wait_until_closed() {
      while (receive()) {
      }
    }

    // The peer sees a reset instead of an end when the connection is closed.
    void close_with_reset() {
      const linger now{1, 0};
      setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }

  private:
    bool receive() {
      char buffer[16 * 1024];
      const auto got = ::recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return false;
      pending_.append(buffer, static_cast<std::size_t>(got));
      return true;
    }

    SocketServer& server_;
    int fd_;
    std::string pending_;
  };

  using Serve = std::function<void(Connection&)>;

  static constexpr int backlog_max = 1024;

  explicit SocketServer(Serve serve) : SocketServer{std::move(serve), backlog_max} {
    accept_from_now();
  }

  // Connections beyond the backlog stay in their handshake until accept_from_now().
  SocketServer(Serve serve, int backlog)
      : serve_{std::move(serve)}, listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, backlog) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error{"no loopback port for the test's server"};
    port_ = ntohs(address.sin_port);
  }

  ~SocketServer() {
    ::shutdown(listener_, SHUT_RDWR);
    if (acceptor_.joinable()) acceptor_.join();
    {
      const std::lock_guard lock{mutex_};
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;

  void accept_from_now() {
    ::listen(listener_, backlog_max);
    acceptor_ = std::thread{[this] {
      while (accept_one()) {
      }
    }};
  }

  // Waits for a connection; false when the server ends.
  bool accept_one() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return false;
    const std::lock_guard lock{mutex_};
    ++connections_;
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
    return true;
  }

  // Whether a further connection stays in its handshake until one is accepted.
  bool backlog_is_full() const {
    tcp_info queue{}; // of a listener: how many wait, and how many may
    socklen_t size = sizeof queue;
    if (::getsockopt(listener_, IPPROTO_TCP, TCP_INFO, &queue, &size) != 0)
      throw std::runtime_error{"a listener does not tell of its backlog"};
    return queue.tcpi_unacked > queue.tcpi_sacked;
  }

  std::uint16_t port() const { return port_; }
  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/v1/chat/completions";
  }

  std::size_t connections() const {
    const std::lock_guard lock{mutex_};
    return connections_;
  }
  std::vector<Request> requests() const {
    const std::lock_guard lock{mutex_};
    return requests_;
  }
  // False when they did not come within a generous time.
  bool wait_for_requests(std::size_t count) const {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{60},
                             [&] { return requests_.size() >= count; });
  }

private:
  void serve(int fd) {
    Connection connection{*this, fd};
    serve_(connection);
    const std::lock_guard lock{mutex_};
    std::erase(open_, fd);
    ::close(fd);
  }

  void note_request(const Request& request) {
    const std::lock_guard lock{mutex_};
    requests_.push_back(request);
    changed_.notify_all();
  }

  Serve serve_;
  int listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::size_t connections_ = 0;
  std::vector<Request> requests_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

} // namespace gristmill::test
