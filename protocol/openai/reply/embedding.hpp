// EMBEDDING: the numbers of an embedding that was sent as base64, which is little-endian float32.
// Servers do not all obey `encoding_format`, so whoever reads an answer takes an array too.
#pragma once

#include <string_view>
#include <vector>

namespace gristmill::openai {

// Appends the numbers; false, and nothing appended, if the text is not base64 of whole numbers.
bool append_base64_floats(std::string_view text, std::vector<float>& into);

} // namespace gristmill::openai
