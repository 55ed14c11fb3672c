// A request body as text, and what is laid over it. Only top-level members are replaced or added;
// everything else stays as the user spelled it. Invariant: a checked body gives a valid body.
#pragma once

#include "protocol/openai/json_text.hpp"

#include <string>
#include <string_view>

namespace gristmill::openai {

// Whether some "stream" member is anything but false or null.
bool asks_for_stream(json::Value body);

// `body` with the members of `params` laid over it, then `model` unless it is empty.
std::string overlaid(json::Value body, json::Value params, std::string_view model);

} // namespace gristmill::openai
