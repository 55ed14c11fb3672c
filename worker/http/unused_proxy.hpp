// Calls go straight to their endpoint, whatever the environment says of proxies. Where nothing can
// be reached without one, the error says so.
#pragma once

#include <string>
#include <string_view>

namespace gristmill::worker {

// For the error of a call that was never connected, without a full stop; empty if the environment
// names no proxy that others would use for this URL.
std::string unused_proxy(std::string_view url);

} // namespace gristmill::worker
