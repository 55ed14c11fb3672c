#include "worker/refused_address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <netinet/in.h>
#include <span>

namespace gristmill::worker {
namespace {

using Bytes = std::array<std::uint8_t, 16>;
using Prefix = std::span<const std::uint8_t>;

constexpr std::array<std::uint8_t, 2> link_local_4{169, 254};
constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::array<std::uint8_t, 12> nat64{0, 0x64, 0xff, 0x9b};
constexpr Bytes aws{0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};

bool begins(Prefix bytes, Prefix prefix) {
  return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

bool is_refused(const Bytes& six) {
  if (begins(six, mapped) || begins(six, nat64))
    return begins(Prefix{six}.subspan(mapped.size()), link_local_4);
  return (six[0] == 0xfe && (six[1] & 0xc0) == 0x80) || six == aws;
}

} // namespace

std::string refused_address(const sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.sa_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&four);
    if (!begins({bytes, sizeof four}, link_local_4)) return {};
    return ::inet_ntop(AF_INET, &four, text.data(), text.size());
  }
  if (address.sa_family != AF_INET6) return {};
  const auto& six = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  Bytes bytes;
  std::copy_n(six.s6_addr, bytes.size(), bytes.begin());
  if (!is_refused(bytes)) return {};
  return ::inet_ntop(AF_INET6, &six, text.data(), text.size());
}

} // namespace gristmill::worker
