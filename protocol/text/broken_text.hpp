// BROKEN TEXT: how many bytes that are no UTF-8 are sent as one U+FFFD, as json::as_utf8 has it. So
// whoever divides a text, or counts it, does not take such a piece apart.
#pragma once

#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace gristmill::json {

// Of a text at whose beginning no character stands.
inline std::size_t broken_bytes(std::string_view text) {
  constexpr std::string_view replacement = "\ufffd";
  std::size_t bytes = 1;
  for (std::size_t more = 2; more <= std::min<std::size_t>(text.size(), 3); ++more)
    if (as_utf8(text.substr(0, more)) == replacement) bytes = more;
  return bytes;
}

} // namespace gristmill::json
