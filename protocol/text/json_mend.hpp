// JSON MEND: what a server sent as JSON, as the JSON that the strict check takes. An answer is paid
// for, so what a reader can still understand is kept: a byte order mark, NULs and space around the
// document go; halves of surrogate pairs and bytes that are no UTF-8 become U+FFFD; control
// characters in strings are escaped; NaN and the infinities, as Python and C++ write them, become
// null. Everything else is left as it is spelled, and what json::check() refuses then is a fault.
// Invariant: a text without a fault passes json::check() and has at most `bytes_max` bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::json {

struct Fault {
  std::string sentence; // what was expected at which byte
  bool at_end = false;  // the text ends too early: it was cut
};
// What json::check() refuses; nothing if it takes the text. In json_check.cpp.
std::optional<Fault> fault_of(std::string_view text);

struct Mended {
  std::string_view text; // of what was given, or of `room`
  std::optional<Fault> fault;
};
Mended mended(std::string_view text, std::size_t bytes_max, std::string& room);

} // namespace gristmill::json
