// LINE KIND: whether lines of JSON are requests of OpenAI's batch format or objects for a template,
// by the members that the first of them have of their own.
#pragma once

#include "protocol/job/spec.hpp"

#include <cstddef>
#include <string_view>

namespace gristmill::intake {

// One bad line, or one that says what is in the file, does not make objects of all the others. The
// last line of `head` may be cut.
ItemKind kind_of_lines(std::string_view head);

// Where at `at` or behind it the first sign stands that is no space of JSON; else the end.
std::size_t after_space(std::string_view text, std::size_t at);

} // namespace gristmill::intake
