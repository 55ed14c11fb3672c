// DEADLINE as a user says it: a time, or how long from now. Invariant: a time without a zone is one
// of this machine's.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::cli {

// "90s", "30m", "2h", "1d", or "2026-11-23T06:00", with seconds, Z or an offset such as +01:00 if
// wanted; a space may stand for the T. In unix seconds.
Result<std::uint64_t> deadline_of(const std::string& text, std::int64_t unix_now);

// "90s", "30m", "2h", "1d" in seconds; nothing for any other text, and for no time at all.
std::optional<std::uint64_t> span_of(std::string_view text);

} // namespace gristmill::cli
