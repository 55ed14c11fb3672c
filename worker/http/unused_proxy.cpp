#include "worker/http/unused_proxy.hpp"

#include "protocol/keys/private_host.hpp"

#include <cstdlib>
#include <fmt/format.h>

namespace gristmill::worker {

std::string unused_proxy(std::string_view url) {
  if (is_private_host(url)) return {};
  const bool secure = url.starts_with("https:");
  for (const char* name : {secure ? "HTTPS_PROXY" : "HTTP_PROXY",
                           secure ? "https_proxy" : "http_proxy", "ALL_PROXY", "all_proxy"})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0')
      return fmt::format("{} is set, but no proxy is used: this machine must reach the endpoint "
                         "itself",
                         name);
  return {};
}

} // namespace gristmill::worker
