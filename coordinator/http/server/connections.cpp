#include "coordinator/http/server/connections.hpp"

#include "actors/kit/clock.hpp"
#include "coordinator/http/server/task.hpp"

#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t network_bytes = 8; // of an IPv6 address

bool is_loopback(const in_addr& address) {
  return ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

std::string text_of(const in_addr& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  return ::inet_ntop(AF_INET, &address, text.data(), text.size()) == nullptr ? "?" : text.data();
}

// Without waiting: a peer that reads nothing gets nothing.
void say(int socket, const HttpResponse& answer) {
  std::string text = fmt::format("HTTP/1.1 {} \r\nContent-Type: {}\r\nContent-Length: {}\r\n"
                                 "Connection: close\r\n",
                                 answer.status, answer.content_type, answer.body.size());
  for (const auto& [name, value] : answer.headers) text += fmt::format("{}: {}\r\n", name, value);
  text += "\r\n" + answer.body;
  (void)::send(socket, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool has_left(const pollfd& peer) {
  int unread = 0;
  return (peer.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0 &&
         ::ioctl(peer.fd, FIONREAD, &unread) == 0 && unread == 0;
}

} // namespace

std::string address_of(const sockaddr* peer) {
  if (peer == nullptr) return {};
  if (peer->sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in*>(peer)->sin_addr;
    return is_loopback(v4) ? std::string{} : text_of(v4);
  }
  if (peer->sa_family != AF_INET6) return {};
  in6_addr v6 = reinterpret_cast<const sockaddr_in6*>(peer)->sin6_addr;
  if (IN6_IS_ADDR_LOOPBACK(&v6)) return {};
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    in_addr v4{};
    std::memcpy(&v4, v6.s6_addr + 12, sizeof v4);
    return is_loopback(v4) ? std::string{} : text_of(v4);
  }
  std::memset(v6.s6_addr + network_bytes, 0, sizeof v6.s6_addr - network_bytes);
  std::array<char, INET6_ADDRSTRLEN> text{};
  return ::inet_ntop(AF_INET6, &v6, text.data(), text.size()) == nullptr ? "?" : text.data();
}

bool HttpConnections::may_come(const sockaddr* peer) const {
  const std::lock_guard lock{mutex_};
  return places_.may_come(address_of(peer));
}

void HttpConnections::came(int socket, const sockaddr* peer) {
  const std::lock_guard lock{mutex_};
  if (const auto goes = places_.came(socket, address_of(peer), boot_now()))
    ::shutdown(*goes, SHUT_RDWR);
}

void HttpConnections::left(int socket) {
  const std::lock_guard lock{mutex_};
  places_.left(socket);
}

bool HttpConnections::has_head(int socket, bool is_always_answered) {
  const std::lock_guard lock{mutex_};
  return places_.has_head(socket, is_always_answered, boot_now());
}

void HttpConnections::not_wanted(int socket) {
  const std::lock_guard lock{mutex_};
  places_.not_wanted(socket, boot_now());
}

void HttpConnections::brought(int socket, std::uint64_t body_bytes) {
  const std::lock_guard lock{mutex_};
  places_.brought(socket, body_bytes, boot_now());
}

void HttpConnections::waits_for_us(int socket) {
  const std::lock_guard lock{mutex_};
  places_.waits_for_us(socket);
}

void HttpConnections::goes_on(int socket) {
  const std::lock_guard lock{mutex_};
  places_.goes_on(socket, boot_now());
}

void HttpConnections::answered(int socket) {
  const std::lock_guard lock{mutex_};
  places_.answered(socket, boot_now());
}

void HttpConnections::tell(int socket, const HttpResponse& answer) {
  const std::lock_guard lock{mutex_};
  say(socket, answer);
}

void HttpConnections::turn_away(int socket, const HttpResponse& answer) {
  const std::lock_guard lock{mutex_};
  say(socket, answer);
  ::shutdown(socket, SHUT_RDWR);
}

void HttpConnections::look() {
  const std::lock_guard lock{mutex_};
  for (const auto& [socket, asked] : places_.overdue(boot_now())) {
    if (asked)
      say(socket, http_error(408, "too_slow",
                             "expected a whole head within 10 s and a body of at least 1 KiB a "
                             "second, got less"));
    ::shutdown(socket, SHUT_RDWR);
  }
  std::vector<pollfd> peers;
  for (const int socket : places_.in_body()) peers.push_back({socket, POLLRDHUP, 0});
  if (peers.empty() || ::poll(peers.data(), peers.size(), 0) <= 0) return;
  // For reading only: should the last bytes have just been read, the answer still goes out.
  for (const pollfd& peer : peers)
    if (has_left(peer)) ::shutdown(peer.fd, SHUT_RD);
}

} // namespace gristmill::coordinator
