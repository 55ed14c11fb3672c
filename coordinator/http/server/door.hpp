// HTTP DOOR: which requests may come in, by what their heads say, before anybody looks at a token
// or a body. A page in a browser on this machine can send requests too, but it cannot leave out or
// forge Host, Origin and Sec-Fetch-Site. Plain. Invariant: without a token only requests to this
// machine's own names are answered, so no page can read or order anything, whatever its name
// resolves to (DNS rebinding).
#pragma once

#include "protocol/result.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

// A request's header lines as they came; names are compared without regard to case.
class HttpHeaders {
public:
  void add(std::string name, std::string value) {
    lines_.emplace_back(std::move(name), std::move(value));
  }
  std::size_t count(std::string_view name) const;
  const std::string* find(std::string_view name) const; // the first one of that name
  std::string get(std::string_view name) const;         // … or nothing

private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

struct HttpDoorOptions {
  bool has_token = false;
  std::string listen;             // HOST:PORT
  std::vector<std::string> hosts; // names that clients may use besides; none with a token: any
};

struct HttpRefusal {
  int status = 403;
  std::string code, sentence;
};

class HttpDoor {
public:
  explicit HttpDoor(HttpDoorOptions options);

  // Nothing: it may come in.
  std::optional<HttpRefusal> why_refused(const HttpHeaders& headers) const;
  // Of a body that a route takes as `wanted`; `carries`: its method may bring one.
  static std::optional<HttpRefusal> why_no_body(const HttpHeaders& headers, bool carries,
                                                std::string_view wanted);

private:
  bool answers_to(std::string_view host) const;

  bool any_;
  std::vector<std::string> hosts_; // in lower case, IPv6 in brackets
};

// usage: something that no client can send as the name in Host.
Result<> check_http_hosts(const std::vector<std::string>& hosts);

// The name of HOST or HOST:PORT in lower case, with its brackets; nothing if it is neither.
std::string host_of(std::string_view host_and_port);

} // namespace gristmill::coordinator
