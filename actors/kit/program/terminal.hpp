// TERMINAL: the one way of the programs' words to standard output and standard error. Names of
// files, ids, and sentences of servers stand among them, so what a terminal would obey (escape
// sequences, controls, directions of writing) is shown as a space.
// Invariant: nothing that came from elsewhere is printed but through here; data that was asked for
// (results, `-o -`) is no word and goes its own way.
#pragma once

#include <string_view>

namespace gristmill {

void say(std::string_view text); // to standard error
// To standard output; false = it took less than all.
bool print(std::string_view text);
// The same data, but for hidden characters as \uXXXX, and a newline.
bool print_json(std::string_view text);
// To standard error, with control sequences of our own in it.
void paint(std::string_view text);

} // namespace gristmill
