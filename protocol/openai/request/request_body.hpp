// A request body as text, and what is laid over it. Only top-level members are replaced or added;
// everything else stays as the user spelled it. Invariant: a checked body gives a valid body.
#pragma once

#include "protocol/openai/api.hpp"
#include "protocol/text/json_text.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

// Whether some "stream" member is anything but false or null.
bool asks_for_stream(json::Value body);

// The members that say how long an answer may be, in the words of the path: max_output_tokens for
// responses, max_tokens for completions and chats. A chat's request that has max_completion_tokens
// is told in that word, and one that has both in both. Nothing where an answer has no tokens.
std::vector<std::string_view> answer_limit_words(Api api, json::Value body, json::Value params);

// `body` with the members of `params` laid over it, then `model` unless it is empty, then
// `max_tokens` (0 = nothing) under each of the words.
std::string overlaid(json::Value body, json::Value params, std::string_view model,
                     std::uint64_t max_tokens = 0,
                     const std::vector<std::string_view>& limit_words = {});

} // namespace gristmill::openai
