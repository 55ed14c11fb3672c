#include "coordinator/gateway/listen_address.hpp"

#include "protocol/keys/access.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>

namespace gristmill::coordinator {

Result<> check_listen_address(const std::string& listen, bool has_keys) {
  if (!listen.starts_with("tcp://") && !listen.starts_with("ipc://"))
    return fail(ErrorCode::usage,
                fmt::format("expected an address such as tcp://127.0.0.1:7411 to listen on, got {}",
                            listen));
  if (!has_keys && leaves_this_machine(listen))
    return fail(ErrorCode::usage,
                fmt::format("listening on {} without keys: anybody could read the prompts; run "
                            "`gristmill keygen DIR` and give --keys DIR, or listen on 127.0.0.1",
                            listen));
  return {};
}

Error listen_error(const std::string& listen, int reason) {
  switch (reason) {
  case EADDRINUSE:
    return {ErrorCode::conflict,
            fmt::format("{} is in use by another process: stop it, or listen on another port (port "
                        "0 takes a free one)",
                        listen)};
  case EACCES:
  case EPERM:
    return {ErrorCode::usage,
            fmt::format("not permitted to listen on {}: choose a port above 1023, or a path that "
                        "you may write",
                        listen)};
  default:
    return {ErrorCode::usage,
            fmt::format("cannot listen on {} ({}): expected an address of this machine, such as "
                        "tcp://127.0.0.1:7411",
                        listen, std::strerror(reason))};
  }
}

std::string without_local_name(std::string listen) {
  constexpr std::string_view local = "tcp://localhost:";
  if (listen.starts_with(local)) listen.replace(0, local.size(), "tcp://127.0.0.1:");
  return listen;
}

std::string dialled_here(std::string endpoint) {
  constexpr std::string_view anywhere = "tcp://0.0.0.0:";
  if (endpoint.starts_with(anywhere)) endpoint.replace(0, anywhere.size(), "tcp://127.0.0.1:");
  return endpoint;
}

} // namespace gristmill::coordinator
