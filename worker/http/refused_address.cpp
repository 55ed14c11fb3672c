#include "worker/http/refused_address.hpp"

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

constexpr Bytes loopback_6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

bool is_private(std::uint32_t four) {
  struct Net {
    std::uint32_t first;
    int bits;
  };
  constexpr Net nets[]{
      {0x7f000000, 8}, {0x0a000000, 8}, {0xac100000, 12}, {0xc0a80000, 16}, {0x64400000, 10}};
  return std::any_of(std::begin(nets), std::end(nets), [four](const Net& net) {
    return (four >> (32 - net.bits)) == (net.first >> (32 - net.bits));
  });
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

bool is_of_our_network(const char* address) {
  in_addr four{};
  if (::inet_pton(AF_INET, address, &four) == 1) return is_private(ntohl(four.s_addr));
  Bytes six;
  if (::inet_pton(AF_INET6, address, six.data()) != 1) return false;
  if (!begins(six, mapped)) return six == loopback_6 || (six[0] & 0xfe) == 0xfc;
  std::copy(six.begin() + mapped.size(), six.end(), reinterpret_cast<std::uint8_t*>(&four));
  return is_private(ntohl(four.s_addr));
}

} // namespace gristmill::worker
