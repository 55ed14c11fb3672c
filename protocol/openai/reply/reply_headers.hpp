// The headers of an answer that decide something. Invariant: whatever a header holds, the wait is
// within [0, 600 s] or unknown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::openai {

using Headers = std::vector<std::pair<std::string, std::string>>; // lower-case names

inline constexpr std::int64_t retry_after_ms_max = 600'000;

struct ReplyHeaders {
  std::int64_t retry_after_ms = -1; // -1 = not said
  std::optional<bool> should_retry;
  std::string request_id;
  std::string encoding; // Content-Encoding that is not undone
};

// Seconds since 1970 by the server's clock as it answered ("date"), by ours where it does not say:
// the moments that it names are of its own clock, which may be wrong by hours.
std::int64_t server_time(const Headers& headers, std::int64_t unix_now);

// `server_now`: see above; the same for read_limits.
ReplyHeaders read_headers(const Headers& headers, std::int64_t server_now);

} // namespace gristmill::openai
