#include "coordinator/http/server/listener.hpp"

#include "protocol/keys/access.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace gristmill::coordinator {
namespace {

struct HostAndPort {
  std::string host; // without brackets
  std::string port;
};

Result<HostAndPort> split(const std::string& listen) {
  const auto colon = listen.rfind(':');
  const std::string port = colon == listen.npos ? "" : listen.substr(colon + 1);
  std::string host = listen.substr(0, colon == listen.npos ? 0 : colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  std::uint16_t number = 0;
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (host.empty() || port.empty() || error != std::errc{} || stop != port.data() + port.size())
    return fail(ErrorCode::usage,
                fmt::format("expected HOST:PORT for HTTP, such as 127.0.0.1:7412, got {}", listen));
  return HostAndPort{std::move(host), port};
}

Error cannot_listen(const std::string& listen, int reason) {
  if (reason == EADDRINUSE)
    return {ErrorCode::conflict,
            fmt::format("{} is in use by another process: stop it, or give another port for HTTP "
                        "(port 0 takes a free one)",
                        listen)};
  return {ErrorCode::usage,
          fmt::format("cannot serve HTTP on {} ({}): expected an address of this machine, such as "
                      "127.0.0.1:7412",
                      listen, std::strerror(reason))};
}

std::uint16_t port_of(int socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

} // namespace

Result<> check_http_access(const std::string& listen, bool has_token, bool plain) {
  GRISTMILL_TRY(split(listen));
  if (!leaves_this_machine("tcp://" + listen) || (has_token && plain)) return {};
  if (has_token)
    return fail(ErrorCode::usage,
                fmt::format("serving HTTP on {} in clear text: whoever is on the way reads prompts "
                            "and the token; give --http-plain if that is meant, for instance "
                            "behind a proxy that speaks TLS, or listen on 127.0.0.1",
                            listen));
  return fail(ErrorCode::usage,
              fmt::format("serving HTTP on {} without a token: anybody could read the prompts and "
                          "run jobs; run `gristmill keygen DIR` and give --keys DIR, or listen on "
                          "127.0.0.1",
                          listen));
}

Result<HttpListener> listen_for_http(const std::string& listen) {
  const auto where = split(listen);
  GRISTMILL_TRY(where);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(where->host.c_str(), where->port.c_str(), &hints, &found))
    return fail(ErrorCode::usage,
                fmt::format("cannot serve HTTP on {} ({}): expected an address of "
                            "this machine, such as 127.0.0.1:7412",
                            listen, ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned{found, ::freeaddrinfo};
  FileDescriptor socket{::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  const int yes = 1;
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      ::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0)
    return tl::unexpected{cannot_listen(listen, errno)};
  const std::string host = found->ai_family == AF_INET6 ? "[" + where->host + "]" : where->host;
  std::string address = fmt::format("{}:{}", host, port_of(socket.get()));
  return HttpListener{std::move(socket), std::move(address)};
}

} // namespace gristmill::coordinator
