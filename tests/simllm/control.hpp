// POST /control: new settings for a running server, as a JSON object.
//
//   {"rpm": number, "tpm": number, "burst_seconds": number, "slots": count,
//    "latency": law, "faults": [fault, ...], "reset_stats": true}
//
// Every member is optional and replaces the setting of that name; a new rate limit starts with a
// full burst, a new fault list with no hits. Arrival numbers and how often a text was seen go on.
// Invariant: a change that is not understood in full is refused in full.
#pragma once

#include "options.hpp"

#include <string_view>

namespace gristmill::simllm {

// Throws std::invalid_argument with a sentence for the client. The bytes must be followed by
// simdjson::SIMDJSON_PADDING readable ones.
Change parse_change(std::string_view padded_json);

} // namespace gristmill::simllm
