// KNOWN ANSWER: what an earlier call answered to a request that asks the same thing. Plain data.
#pragma once

#include <cstdint>
#include <string>

namespace gristmill {

struct KnownAnswer {
  std::uint32_t http_status = 200;
  std::string request_id, model, endpoint;
  std::string body; // JSON
  bool operator==(const KnownAnswer&) const = default;
};

} // namespace gristmill
