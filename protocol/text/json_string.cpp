#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <simdjson.h>

namespace gristmill::json {

bool is_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd"; // U+FFFD

void append_utf8(std::string& out, unsigned code) {
  const auto byte = [&out](unsigned value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | code >> 6);
    byte(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    byte(0xe0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3f));
    byte(0x80 | (code & 0x3f));
  } else {
    byte(0xf0 | code >> 18);
    byte(0x80 | (code >> 12 & 0x3f));
    byte(0x80 | (code >> 6 & 0x3f));
    byte(0x80 | (code & 0x3f));
  }
}

// The \uXXXX whose first digit stands at `at`; 0 if it is none.
unsigned code_unit(std::string_view text, std::size_t at) {
  unsigned unit = 0;
  if (at + 4 <= text.size()) std::from_chars(text.data() + at, text.data() + at + 4, unit, 16);
  return unit;
}

char unescaped(char c) {
  switch (c) {
  case 'b': return '\b';
  case 'f': return '\f';
  case 'n': return '\n';
  case 'r': return '\r';
  case 't': return '\t';
  default: return c;
  }
}

// Bytes of the UTF-8 character that starts here; 0 if none does.
std::size_t character_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return 1;
  const std::size_t bytes = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return bytes <= text.size() && is_utf8(text.substr(0, bytes)) ? bytes : 0;
}

// Bytes that are no UTF-8 and that one U+FFFD stands for: as much of a character as there is, else
// one byte (Unicode 14, section 3.9, "U+FFFD Substitution of Maximal Subparts").
std::size_t broken_bytes(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0);
  if (first < 0xe0 || first > 0xf4) return 1;
  const unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < least || byte(1) > most) return 1;
  return first >= 0xf0 && (byte(2) & 0xc0) == 0x80 ? 3 : 2;
}

void append_escape(std::string& out, char c) {
  constexpr std::string_view hex = "0123456789abcdef";
  switch (c) {
  case '"': out += "\\\""; return;
  case '\\': out += "\\\\"; return;
  case '\n': out += "\\n"; return;
  case '\r': out += "\\r"; return;
  case '\t': out += "\\t"; return;
  default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  out += "\\u00";
  out += hex[byte >> 4];
  out += hex[byte & 0xf];
}

// Of a whole UTF-8 character.
char32_t code_point(std::string_view character) {
  const auto byte = [character](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0);
  char32_t code = byte(0) & (0x7fu >> character.size());
  for (std::size_t i = 1; i < character.size(); ++i) code = code << 6 | (byte(i) & 0x3fu);
  return code;
}

// Controls, and what changes the direction of writing or begins a line without being seen: a text
// with these in it can show something else than it says.
bool commands_a_terminal(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
  const bool direction = c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
                         (c >= 0x2066 && c <= 0x2069);
  return control || direction || c == 0x2028 || c == 0x2029;
}

} // namespace

std::string as_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    out += bytes > 0 ? text.substr(0, bytes) : replacement;
    text.remove_prefix(bytes > 0 ? bytes : broken_bytes(text));
  }
  return out;
}

std::string small_letters(std::string_view text) {
  std::string small{text};
  for (char& c : small)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return small;
}

std::string decoded(std::string_view spelled) {
  std::string out;
  out.reserve(spelled.size());
  for (std::size_t at = 0; at < spelled.size();) {
    const std::size_t escape = spelled.find('\\', at);
    if (escape == std::string_view::npos || escape + 1 >= spelled.size()) {
      out += spelled.substr(at);
      break;
    }
    out += spelled.substr(at, escape - at);
    at = escape + 2;
    if (spelled[escape + 1] != 'u') {
      out += unescaped(spelled[escape + 1]);
      continue;
    }
    unsigned code = code_unit(spelled, at);
    at += 4;
    if (code >= 0xd800 && code <= 0xdbff) {
      const unsigned low = code_unit(spelled, at + 2) - 0xdc00;
      code = 0x10000 + ((code - 0xd800) << 10) + (low & 0x3ff);
      at += 6;
    }
    append_utf8(out, code);
  }
  return out;
}

std::string text_of(Value value) {
  if (!value.is(Kind::string) || value.text.size() < 2) return {};
  return decoded(value.text.substr(1, value.text.size() - 2));
}

std::optional<std::uint64_t> integer_of(Value value) {
  std::uint64_t number = 0;
  const char* end = value.text.data() + value.text.size();
  const auto [stop, error] = std::from_chars(value.text.data(), end, number);
  if (value.text.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> count_of(Value value) {
  if (const auto exact = integer_of(value)) return exact;
  std::string_view text = value.text;
  if (value.is(Kind::string)) text = text.substr(1, std::max<std::size_t>(text.size(), 2) - 2);
  double number = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (stop != text.data() + text.size()) return std::nullopt;
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (error == std::errc::result_out_of_range && !text.starts_with('-') &&
      text.find("e-") == text.npos && text.find("E-") == text.npos)
    return most;
  if (error != std::errc{} || !(number >= 0)) return std::nullopt;
  return number < 1e18 ? static_cast<std::uint64_t>(std::ceil(number)) : most;
}

void append_string(std::string& out, std::string_view text) {
  if (!is_utf8(text)) {
    append_string(out, as_utf8(text));
    return;
  }
  out += '"';
  const char* at = text.data();
  const char* end = at + text.size();
  for (;;) {
    const char* stop = end_of_plain(at, end);
    out.append(at, stop);
    if (stop == end) break;
    append_escape(out, *stop);
    at = stop + 1;
  }
  out += '"';
}

std::string minified(std::string_view text) {
  std::string out;
  out.resize(text.size() + simdjson::SIMDJSON_PADDING); // it stores whole vectors
  std::size_t bytes = 0;
  if (simdjson::minify(text.data(), text.size(), out.data(), bytes) != simdjson::SUCCESS) bytes = 0;
  out.resize(bytes);
  return out;
}

std::string printable(std::string_view text, std::size_t bytes_max) {
  std::string out;
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    std::string_view shown = bytes > 0 ? text.substr(0, bytes) : replacement;
    if (commands_a_terminal(code_point(shown))) shown = " ";
    if (out.size() + shown.size() > bytes_max) break;
    out += shown;
    text.remove_prefix(bytes > 0 ? bytes : 1);
  }
  return out;
}

std::string with_hidden_escaped(std::string_view json) {
  std::string out;
  while (!json.empty()) {
    const std::size_t bytes = std::max<std::size_t>(character_bytes(json), 1);
    const std::string_view shown = json.substr(0, bytes);
    const char32_t code = code_point(shown);
    if (commands_a_terminal(code) && code != '\n')
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
    else
      out += shown;
    json.remove_prefix(bytes);
  }
  return out;
}

std::string printable_lines(std::string_view text) {
  constexpr std::size_t no_bound = std::string_view::npos;
  std::string out;
  for (std::size_t newline = 0; newline != text.npos;) {
    newline = text.find('\n');
    out += printable(text.substr(0, newline), no_bound);
    if (newline != text.npos) out += '\n';
    text.remove_prefix(newline == text.npos ? text.size() : newline + 1);
  }
  return out;
}

} // namespace gristmill::json
