// The address that a gateway listens on: which ones it may, and what to say when it cannot.
#pragma once

#include "protocol/result.hpp"

#include <string>

namespace gristmill::coordinator {

// usage: no address of ours, or one that others can reach while there are no keys.
Result<> check_listen_address(const std::string& listen, bool has_keys);

// What bind's errno means to the person who gave the address.
Error listen_error(const std::string& listen, int reason);

// ZeroMQ resolves names for dialling only; this one needs no resolving.
std::string without_local_name(std::string listen);

// The address under which this process reaches the socket that it listens on.
std::string dialled_here(std::string endpoint);

} // namespace gristmill::coordinator
