// A file of text that an option names, whole: one that cannot be read to its end is an error, never
// a shorter text.
#pragma once

#include "protocol/result.hpp"

#include <string>

namespace gristmill::cli {

// Errors (usage) begin with the option; a text in UTF-16 or UTF-32 is one. A pipe is read to its
// end. A byte order mark is no part of the text.
Result<std::string> text_of_file(const std::string& option, const std::string& path);

} // namespace gristmill::cli
