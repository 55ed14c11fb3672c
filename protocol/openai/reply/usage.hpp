// USAGE: the tokens that a server says an answer took. Chat says prompt and completion, the
// responses API says input and output, and some say only what both are together.
#pragma once

#include "protocol/node/messages.hpp"
#include "protocol/text/json_text.hpp"

namespace gristmill::openai {

// Of a body's `usage`; not known if it says nothing, or nothing that can be believed.
protocol::Usage usage_of(json::Value usage);

} // namespace gristmill::openai
