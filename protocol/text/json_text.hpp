// JSON as the text that it is: a strict check of a whole document, and the pieces of a checked one
// as views into it. Lines and answers are passed on verbatim, numbers keep their spelling and any
// size, and a line of 16 MiB costs no memory beside itself; that is why no document tree is built.
//
// Strict means RFC 8259 in valid UTF-8: one document, nothing after it, no NUL, no half of a
// surrogate pair, at most limits::json_depth_max levels. Of equal members the last one counts.
// Invariant: views point into the text given. On unchecked text they may be wrong, never outside
// it.
#pragma once

#include "protocol/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::json {

enum class Kind : std::uint8_t { none, object, array, string, number, boolean, null };
std::string_view name_of(Kind kind); // "an object", "nothing", … for sentences

struct Value {
  std::string_view text; // with its quotes or brackets; empty = there is none
  Kind kind() const;
  bool is(Kind wanted) const { return kind() == wanted; }
};

struct Member {
  std::string_view key; // as spelled between its quotes
  Value value;
  bool named(std::string_view name) const;
};

// In json_check.cpp.

// The message says what was expected at which byte.
Result<> check(std::string_view text);

// In json_text.cpp.

// The value that a text consists of, without the space around it.
Value root(std::string_view text);

// Walks the members of an object; of anything else there are none.
class Members {
public:
  explicit Members(Value object);
  std::optional<Member> next();

private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// Walks the elements of an array; of anything else there are none.
class Elements {
public:
  explicit Elements(Value array);
  std::optional<Value> next();

private:
  std::string_view text_;
  std::size_t at_ = 0;
};

std::uint64_t elements_in(Value array);
Value find(Value object, std::string_view name);
bool same_key(std::string_view a, std::string_view b); // two keys as spelled

std::size_t after_space(std::string_view text, std::size_t at);
std::size_t after_value(std::string_view text, std::size_t at); // `at` is its first byte

// The first byte in [at, end) that does not stand for itself in a string: a quote, a backslash or a
// control character; `end` if there is none.
const char* end_of_plain(const char* at, const char* end);

// In json_string.cpp.

bool is_utf8(std::string_view text);
std::string decoded(std::string_view spelled);        // between the quotes -> UTF-8
std::string text_of(Value value);                     // a string's text; of anything else nothing
std::optional<std::uint64_t> integer_of(Value value); // if it is a natural number
// A natural number as servers spell one, too: 1e3, 12.0 and "12"; rounded up, and the greatest one
// if it is beyond all.
std::optional<std::uint64_t> count_of(Value value);
std::string small_letters(std::string_view text); // of A to Z
// Bytes that are no UTF-8 become U+FFFD, one for each piece of a character, as Python has it.
std::string as_utf8(std::string_view text);

// Appends the text as a JSON string; bytes that are no UTF-8 become U+FFFD.
void append_string(std::string& out, std::string_view text);

// A checked document without the space between its tokens: one line.
std::string minified(std::string_view text);

// At most `bytes_max` bytes of foreign text, fit for a log line or a terminal: valid UTF-8, cut
// between characters; a space for each character that a terminal would obey instead of showing it
// (controls, escape sequences, directions of writing, separators of lines).
std::string printable(std::string_view text, std::size_t bytes_max);
// The same for text of several lines, without a bound.
std::string printable_lines(std::string_view text);
// The same document with such characters as \uXXXX.
std::string with_hidden_escaped(std::string_view json);

} // namespace gristmill::json
