// The socket that the HTTP server listens on: which addresses it may have, and what to say when it
// cannot have them.
#pragma once

#include "coordinator/disk/file_descriptor.hpp"
#include "protocol/result.hpp"

#include <string>

namespace gristmill::coordinator {

// usage: no address, or one that others can reach while no token is asked for, or while nobody has
// said that clear text may go there (`plain`).
Result<> check_http_access(const std::string& listen, bool has_token, bool plain);

struct HttpListener {
  FileDescriptor socket;
  std::string address; // HOST:PORT, with the port that was really taken
};
Result<HttpListener> listen_for_http(const std::string& listen);

} // namespace gristmill::coordinator
