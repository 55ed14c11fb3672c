#include "protocol/text/blank_text.hpp"

#include <algorithm>
#include <array>

namespace gristmill {
namespace {

// White_Space of Unicode beyond ASCII, then what has no width: a soft hyphen, zero-width space and
// joiners, a word joiner, a byte order mark.
constexpr std::array<std::string_view, 25> blanks{
    "\xC2\x85", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005",
    "\u2006",   "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f",
    "\u3000",   "\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff"};

constexpr std::string_view ascii = " \t\n\v\f\r";

} // namespace

std::string_view without_blank_ends(std::string_view text) {
  for (std::size_t before = text.size() + 1; before != text.size();) {
    before = text.size();
    text.remove_prefix(std::min(text.find_first_not_of(ascii), text.size()));
    text = text.substr(0, text.find_last_not_of(ascii) + 1);
    for (const std::string_view blank : blanks) {
      if (text.starts_with(blank)) text.remove_prefix(blank.size());
      if (text.ends_with(blank)) text.remove_suffix(blank.size());
    }
  }
  return text;
}

bool is_blank_text(std::string_view text) {
  return without_blank_ends(text).empty();
}

} // namespace gristmill
