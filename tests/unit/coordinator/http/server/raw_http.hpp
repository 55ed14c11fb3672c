// RAW HTTP: a client of plain sockets for tests that must send what no library would: half a
// request, a byte at a time, nonsense. Blocking; a test that waits for ever is ended by its runner.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace gristmill::test {

class RawHttp {
public:
  struct Answer {
    int status = 0; // 0: the connection was closed without an answer
    std::string head, body;
  };

  explicit RawHttp(const std::string& url) : fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error{"cannot connect to " + url};
  }
  RawHttp(RawHttp&& other) noexcept
      : fd_{std::exchange(other.fd_, -1)}, pending_{std::move(other.pending_)} {}
  ~RawHttp() { close(); }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  void end() { ::shutdown(fd_, SHUT_WR); } // sends no more, and reads on

  // False when the server has closed the connection.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // The next answer but interim ones (100 Continue).
  Answer receive() {
    for (;;) {
      Answer answer;
      std::size_t end = 0;
      while ((end = pending_.find("\r\n\r\n")) == pending_.npos)
        if (!fill()) return answer;
      answer.head = pending_.substr(0, end + 2);
      pending_.erase(0, end + 4);
      answer.status = std::stoi(answer.head.substr(9, 3));
      if (answer.status < 200) continue;
      const std::string length = header(answer, "Content-Length");
      const std::size_t bytes = length.empty() ? 0 : std::stoul(length);
      while (pending_.size() < bytes)
        if (!fill()) break;
      answer.body = pending_.substr(0, bytes);
      pending_.erase(0, bytes);
      return answer;
    }
  }

  // What comes of a body without a length, until `text` is in it or the connection is closed.
  std::string receive_until(std::string_view text) {
    while (pending_.find(text) == pending_.npos)
      if (!fill()) break;
    return std::exchange(pending_, {});
  }

  Answer call(std::string_view method, std::string_view path, std::string_view body = {},
              std::string_view headers = {}) {
    send(request(method, path, body.size(), headers));
    send(body);
    return receive();
  }

  static std::string request(std::string_view method, std::string_view path, std::size_t body_bytes,
                             std::string_view headers = {}) {
    std::string text{method};
    text += " ";
    text += path;
    text += " HTTP/1.1\r\nHost: localhost\r\n";
    text += headers;
    if (body_bytes > 0) text += "Content-Length: " + std::to_string(body_bytes) + "\r\n";
    return text + "\r\n";
  }

  static std::string header(const Answer& answer, const std::string& name) {
    const auto at = answer.head.find("\r\n" + name + ": ");
    if (at == answer.head.npos) return {};
    const auto from = at + name.size() + 4;
    return answer.head.substr(from, answer.head.find("\r\n", from) - from);
  }

private:
  bool fill() {
    char buffer[64 * 1024];
    const auto got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    pending_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int fd_;
  std::string pending_;
};

} // namespace gristmill::test
