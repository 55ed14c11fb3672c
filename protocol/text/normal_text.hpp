// NORMAL TEXT: one spelling for texts that read the same: Unicode's composed form (NFC) with "\n"
// at the ends of lines. A letter and its accent are one character then, so that equal words are
// equal for a filter, for --dedupe and for the model. Characters count as Unicode 14 knows them,
// whichever tables are installed: the same text is the same item in every life of a job, on every
// machine. Invariant: a normal text is left as it is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gristmill {

// Of a text in UTF-8; nothing: it is normal.
std::optional<std::string> normal_text(std::string_view text);

// Of a JSON object with the strings in it, but for names of members and for the object's own member
// `id`, by which others know it. What does not change keeps its spelling, and what is no JSON is
// left as it is. Nothing: all of it is normal.
std::optional<std::string> normal_object(std::string_view object, std::string_view id);

} // namespace gristmill
