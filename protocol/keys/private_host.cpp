#include "protocol/keys/private_host.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

namespace gristmill {
namespace {

std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  const std::size_t end = url.starts_with('[') ? url.find(']') : url.find(':');
  std::string host{url.substr(0, end)};
  if (host.starts_with('[')) host.erase(0, 1);
  std::transform(host.begin(), host.end(), host.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  while (host.ends_with('.')) host.pop_back();
  return host;
}

using Four = std::array<std::uint8_t, 4>;
std::optional<Four> four_of(std::string_view host) {
  Four bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto [stop, error] = std::from_chars(host.data(), host.data() + host.size(), bytes[i]);
    if (error != std::errc{}) return std::nullopt;
    host.remove_prefix(static_cast<std::size_t>(stop - host.data()));
    if (i + 1 == bytes.size()) return host.empty() ? std::optional{bytes} : std::nullopt;
    if (!host.starts_with('.')) return std::nullopt;
    host.remove_prefix(1);
  }
  return std::nullopt;
}

bool is_private(const Four& a) {
  return a[0] == 127 || a[0] == 10 || (a[0] == 172 && a[1] >= 16 && a[1] < 32) ||
         (a[0] == 192 && a[1] == 168);
}

bool is_private_six(std::string_view host) {
  constexpr std::string_view mapped = "::ffff:";
  if (host.starts_with(mapped)) {
    const auto four = four_of(host.substr(mapped.size()));
    return four && is_private(*four);
  }
  const std::size_t first = host.find(':'); // of the first group
  return host == "::1" || host == "0:0:0:0:0:0:0:1" ||
         (first == 4 && (host.starts_with("fc") || host.starts_with("fd")));
}

} // namespace

bool is_private_host(std::string_view base_url) {
  constexpr std::array<std::string_view, 6> suffixes{".localhost", ".local",    ".lan",
                                                     ".internal",  ".intranet", ".home.arpa"};
  const std::string host = host_of(base_url);
  if (host.empty()) return false;
  if (host.find(':') != host.npos) return is_private_six(host);
  if (const auto four = four_of(host)) return is_private(*four);
  return host.find('.') == host.npos ||
         std::any_of(suffixes.begin(), suffixes.end(),
                     [&](std::string_view suffix) { return host.ends_with(suffix); });
}

} // namespace gristmill
