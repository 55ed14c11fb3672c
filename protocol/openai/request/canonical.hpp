// CANONICAL KEY: by which two requests that ask the same thing are known.
#pragma once

#include "protocol/openai/request/render.hpp"

#include <string>

namespace gristmill::openai {

// Two requests with the same key ask the same thing: BLAKE2b-256 over path and body with object
// members sorted and whitespace removed, as 64 hex digits. Numbers keep their spelling.
Result<std::string> canonical_key(const Request& request);

} // namespace gristmill::openai
