// What the tests of the model client share: a client whose ended calls can be waited for, the two
// commonest servers, and a listener whose handshakes stay open. Invariant: every wait has an end.
#pragma once

#include "tests/unit/worker/http/socket_server.hpp"
#include "worker/http/curl_client.hpp"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <poll.h>
#include <sstream>
#include <stdexcept>

namespace gristmill::test {

// A client whose ended calls can be waited for.
class Calls {
public:
  explicit Calls(worker::CurlClientOptions options = {})
      : client_{std::in_place, worker::ModelClientEvents{[this](auto batch, auto unix_now) {
                  note(batch, unix_now);
                }},
                std::move(options)} {}

  worker::HttpCall call(const std::string& url) {
    worker::HttpCall call;
    call.attempt = AttemptId::of(Epoch{1}, 1, ++last_);
    call.url = url;
    call.body = R"({"model":"m"})";
    call.timeout = std::chrono::seconds{60};
    call.connect_timeout = std::chrono::seconds{60};
    return call;
  }
  void start(worker::HttpCall call) {
    std::vector<worker::HttpCall> calls;
    calls.push_back(std::move(call));
    client_->start(std::move(calls));
  }
  worker::CallEnded run(worker::HttpCall call) {
    start(std::move(call));
    return next();
  }
  // The oldest end not yet taken.
  worker::CallEnded next() {
    std::unique_lock lock{mutex_};
    REQUIRE(changed_.wait_for(lock, std::chrono::seconds{60}, [this] { return !ended_.empty(); }));
    worker::CallEnded first = std::move(ended_.front());
    ended_.erase(ended_.begin());
    return first;
  }
  std::int64_t unix_now() { // as told with the newest ends
    const std::lock_guard lock{mutex_};
    return unix_now_;
  }
  std::size_t untaken() {
    const std::lock_guard lock{mutex_};
    return ended_.size();
  }
  worker::CurlClient& client() { return *client_; }
  void destroy_client() { client_.reset(); }

private:
  void note(std::vector<worker::CallEnded>& batch, std::int64_t unix_now) {
    const std::lock_guard lock{mutex_};
    unix_now_ = unix_now;
    std::move(batch.begin(), batch.end(), std::back_inserter(ended_));
    changed_.notify_all();
  }

  std::uint64_t last_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<worker::CallEnded> ended_;
  std::int64_t unix_now_ = 0;
  std::optional<worker::CurlClient> client_;
};

inline void answer_all(SocketServer::Connection& connection) {
  for (SocketServer::Request request; connection.read(request);)
    connection.answer(R"({"ok":true})");
}

inline void hang(SocketServer::Connection& connection) {
  SocketServer::Request request;
  connection.read(request);
  connection.wait_until_closed();
}

inline std::string header_of(const worker::CallEnded& ended, std::string_view name) {
  for (const auto& [key, value] : ended.headers)
    if (key == name) return value;
  return "(absent)";
}

// Connections to a local port whose handshake the other side has not answered yet. The kernel lists
// them piece by piece: what moves meanwhile may be counted twice.
inline std::size_t handshakes_to(std::uint16_t port) {
  char wanted[16];
  std::snprintf(wanted, sizeof wanted, "0100007F:%04X", unsigned{port});
  std::ifstream table{"/proc/net/tcp"};
  std::size_t count = 0;
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields{line};
    std::string index, local, remote, state;
    fields >> index >> local >> remote >> state;
    if (remote == wanted && state == "02") ++count;
  }
  return count;
}

// Takes all places of a listener that does not accept, so that the next handshake stays open. It
// asks the listener: a handshake that is open for a moment, on a busy machine, proves nothing.
class FullBacklog {
public:
  explicit FullBacklog(const SocketServer& server) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(server.port());
    while (!server.backlog_is_full()) {
      if (fds_.size() > 64) throw std::runtime_error{"the listener's backlog does not fill"};
      fds_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(fds_.back(), reinterpret_cast<sockaddr*>(&address), sizeof address);
      pollfd connected{fds_.back(), POLLOUT, 0};
      while (::poll(&connected, 1, 1) == 0 && !server.backlog_is_full()) {
      }
    }
  }
  ~FullBacklog() {
    for (const int fd : fds_) ::close(fd);
  }
  FullBacklog(const FullBacklog&) = delete;
  FullBacklog& operator=(const FullBacklog&) = delete;

private:
  std::vector<int> fds_;
};

} // namespace gristmill::test
