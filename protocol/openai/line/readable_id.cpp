// Ids of lines that are no JSON. A reader of results finds a bad line by its id, and most lines are
// broken behind theirs: cut off, with half a character, with a comma too many.
#include "protocol/openai/line/readable_id.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>

namespace gristmill::openai {
namespace {

// The byte after the string that begins at `at`; the text's end and more if it is not closed.
std::size_t after_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return at + 1;
}

// The value at `at` as an id; empty if it is no whole string or number of JSON.
std::string id_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return {};
  const bool quoted = text[at] == '"';
  std::size_t end = quoted ? after_string(text, at) : text.find_first_of(",}] \t", at);
  if (end == text.npos || end > text.size()) return {}; // cut off, who knows where
  const json::Value value{text.substr(at, end - at)};
  if (!json::check(value.text)) return {};
  std::string id;
  if (value.is(json::Kind::string)) id = json::text_of(value);
  if (value.is(json::Kind::number)) id = value.text;
  return id.size() > limits::custom_id_bytes_max ? std::string{} : id;
}

} // namespace

std::string readable_id(std::string_view broken, std::string_view field) {
  int depth = 0;
  for (std::size_t at = 0; at < broken.size();) {
    const char c = broken[at];
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth <= 0) return {};
    if (c != '"') {
      ++at;
      continue;
    }
    const std::size_t end = after_string(broken, at);
    if (end > broken.size()) return {};
    const json::Member member{broken.substr(at + 1, end - at - 2), {}};
    at = end;
    const std::size_t colon = json::after_space(broken, end);
    if (depth != 1 || colon >= broken.size() || broken[colon] != ':') continue;
    at = json::after_space(broken, colon + 1);
    if (member.named(field))
      if (std::string id = id_at(broken, at); !id.empty()) return id;
    if (at < broken.size() && broken[at] == '"') at = after_string(broken, at); // no key
  }
  return {};
}

} // namespace gristmill::openai
