#include "protocol/job/endpoint_faults.hpp"

#include <charconv>
#include <cstdint>
#include <fmt/format.h>

namespace gristmill {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && stop == text.data() + text.size() && port > 0;
}

// host, host:port, [v6] or [v6]:port
bool is_authority(std::string_view text) {
  std::size_t end = 0;
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    if (text.substr(1, end - 1).find_first_not_of("0123456789abcdefABCDEF:.") != text.npos)
      return false;
    ++end;
  } else {
    while (end < text.size() && (is_letter(text[end]) || is_digit(text[end]) || text[end] == '.' ||
                                 text[end] == '-' || text[end] == '_'))
      ++end;
  }
  return end > 0 && (end == text.size() || (text[end] == ':' && is_port(text.substr(end + 1))));
}

bool is_environment_name(std::string_view name) {
  if (!name.empty() && is_digit(name.front())) return false;
  for (const char c : name)
    if (!is_letter(c) && !is_digit(c) && c != '_') return false;
  return true;
}

} // namespace

std::string_view fault_of_url(std::string_view url) {
  std::string_view rest = url;
  if (url.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (url.starts_with("https://")) {
    rest.remove_prefix(8);
  } else {
    return "a URL with http:// or https://";
  }
  for (const char c : rest)
    if (c <= ' ' || c >= 0x7f || c == '\\') return "a URL in ASCII without spaces";
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos)
    return "a URL without credentials (name the key with --api-key-env)";
  if (rest.find_first_of("?#") != std::string_view::npos) return "a URL without query or fragment";
  if (rest.ends_with('/')) return "a URL without a slash at its end";
  if (!is_authority(authority)) return "a URL with a host and perhaps a port";
  return {};
}

std::string without_credentials(std::string_view url) {
  const std::size_t scheme = url.find("://"), at = url.rfind('@');
  if (at == std::string_view::npos) return std::string{url};
  const std::size_t from = scheme == std::string_view::npos || scheme > at ? 0 : scheme + 3;
  return fmt::format("{}…{}", url.substr(0, from), url.substr(at));
}

std::string_view fault_of_environment_name(std::string_view name) {
  return is_environment_name(name) ? "" : "the name of an environment variable";
}

std::string without_trailing_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string_view fault_of_metrics_url(std::string_view url) {
  if (url.empty() || url == metrics_found) return {};
  return fault_of_url(without_trailing_slash(std::string{url}));
}

std::string metrics_page_of(std::string_view url) {
  constexpr std::string_view after_scheme = "://";
  const auto scheme = url.find(after_scheme);
  const auto host = scheme == url.npos ? 0 : scheme + after_scheme.size();
  return std::string{url.substr(0, url.find_first_of("/?#", host))} + "/metrics";
}

} // namespace gristmill
