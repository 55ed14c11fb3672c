// What of a text says nothing to a reader: characters that Unicode calls white space, or that have
// no width. Bytes that are no UTF-8 are none of them.
#pragma once

#include <string_view>

namespace gristmill {

// Without what it begins and ends with of them.
std::string_view without_blank_ends(std::string_view text);
// It has nothing else.
bool is_blank_text(std::string_view text);

} // namespace gristmill
