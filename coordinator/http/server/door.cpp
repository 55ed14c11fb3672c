#include "coordinator/http/server/door.hpp"

#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t shown_bytes_max = 100; // of a header, in a sentence

// Not tolower: a locale must not decide who comes in.
std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string shown(std::string_view text) {
  return '"' + json::printable(text, shown_bytes_max) + '"';
}

// An IPv6 address may come without the brackets that it has in a Host.
std::string bracketed(const std::string& host) {
  const bool v6 = std::count(host.begin(), host.end(), ':') > 1 && !host.starts_with('[');
  return v6 ? "[" + host + "]" : host;
}

HttpRefusal twice(std::string_view name) {
  return {400, "usage", fmt::format("expected one header {}, got several", name)};
}

} // namespace

std::size_t HttpHeaders::count(std::string_view name) const {
  const std::string wanted = lower(name);
  return static_cast<std::size_t>(std::count_if(
      lines_.begin(), lines_.end(), [&](const auto& line) { return lower(line.first) == wanted; }));
}

const std::string* HttpHeaders::find(std::string_view name) const {
  const std::string wanted = lower(name);
  const auto found = std::find_if(lines_.begin(), lines_.end(),
                                  [&](const auto& line) { return lower(line.first) == wanted; });
  return found == lines_.end() ? nullptr : &found->second;
}

std::string HttpHeaders::get(std::string_view name) const {
  const std::string* found = find(name);
  return found == nullptr ? std::string{} : *found;
}

std::string host_of(std::string_view text) {
  std::size_t end = text.find(':');
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == text.npos) return {};
    ++end;
  }
  const std::string_view port = end < text.size() ? text.substr(end) : std::string_view{};
  const bool number = port.empty() || (port.front() == ':' && port.size() <= 6 &&
                                       port.find_first_not_of("0123456789", 1) == port.npos);
  return number ? lower(text.substr(0, end)) : std::string{};
}

Result<> check_http_hosts(const std::vector<std::string>& hosts) {
  constexpr std::string_view in_names =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
  for (const std::string& given : hosts) {
    const std::string host = bracketed(given);
    if (host_of(host).size() != host.size() || host.empty() ||
        host.find_first_not_of(in_names) != host.npos)
      return fail(ErrorCode::usage,
                  fmt::format("--http-host: expected a name without a port, such as "
                              "gristmill.example, 10.0.0.7 or fd00::7, got {}",
                              shown(given)));
  }
  return {};
}

HttpDoor::HttpDoor(HttpDoorOptions options)
    : any_{options.has_token && options.hosts.empty()}, hosts_{"localhost", "127.0.0.1", "[::1]",
                                                               host_of(options.listen)} {
  for (const std::string& host : options.hosts) hosts_.push_back(lower(bracketed(host)));
  std::erase(hosts_, "");
}

bool HttpDoor::answers_to(std::string_view host) const {
  return any_ || std::find(hosts_.begin(), hosts_.end(), host_of(host)) != hosts_.end();
}

std::optional<HttpRefusal> HttpDoor::why_refused(const HttpHeaders& headers) const {
  for (const char* name : {"Host", "Origin", "Sec-Fetch-Site", "Authorization"})
    if (headers.count(name) > 1) return twice(name);
  const std::string host = headers.get("Host");
  if (!answers_to(host))
    return HttpRefusal{
        403, "forbidden",
        fmt::format("expected one of {} as Host, got {}; --http-host NAME of the coordinator lets "
                    "clients use another name",
                    fmt::join(hosts_, ", "), host.empty() ? "none" : shown(host))};
  if (const std::string* origin = headers.find("Origin")) {
    const std::string own = lower(host), from = lower(*origin);
    if (host.empty() || (from != "http://" + own && from != "https://" + own))
      return HttpRefusal{403, "forbidden",
                         fmt::format("expected no Origin, or http(s):// and the Host {}, got {}: "
                                     "pages of other sites have no business here",
                                     shown(host), shown(*origin))};
  }
  if (const std::string* site = headers.find("Sec-Fetch-Site");
      site != nullptr && *site != "same-origin" && *site != "none")
    return HttpRefusal{403, "forbidden",
                       fmt::format("expected Sec-Fetch-Site same-origin or none, got {}: pages of "
                                   "other sites have no business here",
                                   shown(*site))};
  return std::nullopt;
}

std::optional<HttpRefusal> HttpDoor::why_no_body(const HttpHeaders& headers, bool carries,
                                                 std::string_view wanted) {
  constexpr const char* name = "Content-Type";
  if (headers.count(name) > 1) return twice(name);
  const std::string* given = headers.find(name);
  if (given == nullptr) {
    if (!carries || headers.find("Origin") == nullptr) return std::nullopt;
    return HttpRefusal{415, "unsupported_media_type",
                       fmt::format("expected Content-Type: {} beside an Origin, got none", wanted)};
  }
  const std::string_view type = std::string_view{*given}.substr(0, given->find(';'));
  if (lower(trimmed(type)) == wanted) return std::nullopt;
  return HttpRefusal{415, "unsupported_media_type",
                     fmt::format("expected Content-Type: {}, got {}", wanted, shown(*given))};
}

} // namespace gristmill::coordinator
