// Who an endpoint's host is, as far as its name says.
#pragma once

#include <string_view>

namespace gristmill {

// Whether a base URL's host is this machine or one of a private network: an address of loopback,
// RFC 1918 or fc00::/7, a name without a point, or one under a suffix that the internet does not
// have. Nothing is looked up.
bool is_private_host(std::string_view base_url);

} // namespace gristmill
