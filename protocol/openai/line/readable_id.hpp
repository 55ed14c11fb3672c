// READABLE ID: the id of a line that cannot be read whole.
#pragma once

#include <string>
#include <string_view>

namespace gristmill::openai {

// The id of a line that is no JSON, or only the beginning of a line: the first value under the
// field's name in the outermost object that is whole and a string or a number; empty = there is
// none that could be an id.
std::string readable_id(std::string_view broken, std::string_view field);

} // namespace gristmill::openai
