// OUTPUT PLACE: where a result is written, whatever its user calls the place, and what has become
// of the one that was written there. Invariant: nothing is changed.
#pragma once

#include <string>

namespace gristmill::cli {

// A link is followed, also to a file that is not there yet. What is no file is left to whoever
// refuses it.
std::string written_place(std::string output);

// Also by way of links, or with a slash at the end.
bool is_one_place(const std::string& a, const std::string& b);

// One line if the file is not as long as the summary beside it says; else nothing. Somebody may
// have meant it, so that it is not written again over what is there.
std::string said_of_change(const std::string& output);

} // namespace gristmill::cli
