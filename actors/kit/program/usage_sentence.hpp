// What is wrong with a command line, in our words: what was expected and what came. All programs
// read theirs with CLI11, whose sentences say one or the other.
// Invariant: one line; a sentence that is not known here is passed on as it is.
#pragma once

#include <string>
#include <string_view>

namespace gristmill {

// `kind` and `what`: the name and the message of CLI11's error.
std::string usage_sentence(std::string_view kind, std::string_view what);

} // namespace gristmill
