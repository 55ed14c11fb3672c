// Addresses that no call goes to: link-local ones, where clouds tell a machine its credentials. A
// job's URL, a name's DNS record or a redirection by either could lead there.
#pragma once

#include <string>
#include <sys/socket.h>

namespace gristmill::worker {

// The address as text if no call goes there: 169.254/16, also mapped into IPv6 or behind NAT64,
// fe80::/10, and fd00:ec2::254 (AWS). Empty = it may be called.
std::string refused_address(const sockaddr& address);

// Loopback and private addresses (RFC 1918, RFC 6598, fc00::/7), as text, also mapped into IPv6.
bool is_of_our_network(const char* address);

} // namespace gristmill::worker
