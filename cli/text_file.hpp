// A file of text that an option names, whole: one that cannot be read to its end is an error, never
// a shorter text.
#pragma once

#include "protocol/result.hpp"

#include <string>

namespace gristmill::cli {

// Errors (usage) begin with the option. A pipe is read to its end.
Result<std::string> text_of_file(const std::string& option, const std::string& path);

} // namespace gristmill::cli
