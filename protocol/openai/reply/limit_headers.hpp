// What an answer's headers say of the server's limits: x-ratelimit-{limit,remaining,reset}-NAME and
// anthropic-ratelimit-NAME-{limit,remaining,reset}. A name says what is counted, never for how
// long; of names that qualify it (project-tokens, input-tokens) only the tightest is kept.
// Invariant: at most one hint of each name, and none that says nothing.
#pragma once

#include "protocol/node/messages.hpp"
#include "protocol/openai/reply/reply_headers.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace gristmill::openai {

std::vector<protocol::LimitHint> read_limits(const Headers& headers, std::int64_t server_now);

// Milliseconds until a reset, in any of the forms of header_time.hpp, within a week.
std::optional<std::int64_t> reset_ms_of(std::string_view text, std::int64_t unix_now);

} // namespace gristmill::openai
