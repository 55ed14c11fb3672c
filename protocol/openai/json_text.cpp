#include "protocol/openai/json_text.hpp"

#include "protocol/limits.hpp"

#include <cstring>
#include <fmt/format.h>

namespace gristmill::openai::json {
namespace {

constexpr std::uint64_t every(unsigned char byte) {
  return 0x0101010101010101u * byte;
}

// Eight bytes at a time: is one of them zero?
constexpr bool has_zero(std::uint64_t word) {
  return ((word - every(0x01)) & ~word & every(0x80)) != 0;
}
std::uint64_t eight_bytes(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Recursive descent over the whole text; the limit on depth bounds its stack.
class Checker {
 public:
  explicit Checker(std::string_view text)
      : begin_{text.data()}, at_{begin_}, end_{begin_ + text.size()} {}

  bool document() {
    if (!value(0)) return false;
    space();
    return at_ == end_ || expected("nothing after the document");
  }

  std::string fault() const {
    const auto where = at_ - begin_;
    if (at_ == end_)
      return fmt::format("expected {} at byte {}, got the end of the text", expected_, where);
    if (*at_ > ' ' && *at_ < 0x7f)
      return fmt::format("expected {} at byte {}, got '{}'", expected_, where, *at_);
    return fmt::format("expected {} at byte {}, got the byte 0x{:02x}", expected_, where,
                       static_cast<unsigned char>(*at_));
  }

 private:
  bool expected(const char* what) {
    expected_ = what;
    return false;
  }
  void space() {
    while (at_ != end_ && is_space(*at_)) ++at_;
  }
  bool next_is(char c) const { return at_ != end_ && *at_ == c; }

  bool value(std::uint32_t depth) {
    space();
    if (at_ == end_) return expected("a value");
    switch (*at_) {
    case '{': return depth < limits::json_depth_max ? object(depth + 1) : too_deep();
    case '[': return depth < limits::json_depth_max ? array(depth + 1) : too_deep();
    case '"': return string();
    case 't': return word("true");
    case 'f': return word("false");
    case 'n': return word("null");
    default: return number();
    }
  }

  bool too_deep() { return expected("no deeper nesting (256 levels)"); }
  static_assert(limits::json_depth_max == 256, "the sentence above names the limit");

  bool object(std::uint32_t depth) {
    ++at_;
    space();
    if (next_is('}')) return ++at_, true;
    for (;;) {
      if (!next_is('"')) return expected("a member's name in quotes");
      if (!string()) return false;
      space();
      if (!next_is(':')) return expected("':'");
      ++at_;
      if (!value(depth)) return false;
      space();
      if (next_is('}')) return ++at_, true;
      if (!next_is(',')) return expected("',' or '}'");
      ++at_;
      space();
    }
  }

  bool array(std::uint32_t depth) {
    ++at_;
    space();
    if (next_is(']')) return ++at_, true;
    for (;;) {
      if (!value(depth)) return false;
      space();
      if (next_is(']')) return ++at_, true;
      if (!next_is(',')) return expected("',' or ']'");
      ++at_;
    }
  }

  bool string() {
    for (++at_;;) {
      at_ = end_of_plain(at_, end_);
      if (at_ == end_) return expected("the closing quote of a string");
      if (*at_ == '"') return ++at_, true;
      if (*at_ != '\\') return expected("no control character in a string");
      ++at_;
      if (at_ != end_ && *at_ == 'u') {
        if (!unicode_escape()) return false;
      } else if (at_ != end_ && *at_ != '\0' && std::strchr("\"\\/bfnrt", *at_) != nullptr) {
        ++at_;
      } else {
        return expected("one of \"\\/bfnrtu after a backslash");
      }
    }
  }

  bool unicode_escape() {
    const std::optional<unsigned> first = four_hex();
    if (!first) return false;
    if (*first < 0xd800 || *first > 0xdfff) return true;
    if (*first > 0xdbff) return expected("a high surrogate before this low one");
    if (!next_is('\\')) return expected("the low surrogate after a high one");
    ++at_;
    if (!next_is('u')) return expected("the low surrogate after a high one");
    const std::optional<unsigned> second = four_hex();
    if (!second) return false;
    return (*second >= 0xdc00 && *second <= 0xdfff) ||
           expected("the low surrogate after a high one");
  }

  std::optional<unsigned> four_hex() { // at_ is the 'u'
    unsigned unit = 0;
    for (int i = 0; i < 4; ++i) {
      ++at_;
      if (at_ == end_ || !is_hex(*at_)) {
        expected("four hex digits after \\u");
        return std::nullopt;
      }
      const int digit = is_digit(*at_) ? *at_ - '0' : (*at_ | 0x20) - 'a' + 10;
      unit = unit << 4 | static_cast<unsigned>(digit);
    }
    ++at_;
    return unit;
  }

  bool word(std::string_view name) {
    for (const char c : name) {
      if (!next_is(c)) return expected("true, false or null");
      ++at_;
    }
    return true;
  }

  bool number() {
    if (next_is('-')) ++at_;
    if (at_ == end_ || !is_digit(*at_)) return expected("a value");
    if (*at_ == '0') {
      ++at_;
    } else {
      digits();
    }
    if (next_is('.')) {
      ++at_;
      if (!digits()) return expected("a digit after the point");
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (next_is('+') || next_is('-')) ++at_;
      if (!digits()) return expected("a digit in the exponent");
    }
    return true;
  }
  bool digits() {
    const char* first = at_;
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return at_ != first;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  const char* expected_ = "";
};

// `at` is the opening quote; returns the place after the closing one.
std::size_t after_string(std::string_view text, std::size_t at) {
  const char* end = text.data() + text.size();
  const char* p = text.data() + at + 1;
  for (;;) {
    p = end_of_plain(p, end);
    if (p == end) return text.size();
    if (*p == '"') return static_cast<std::size_t>(p - text.data()) + 1;
    p += *p == '\\' && end - p > 1 ? 2 : 1;
  }
}

// The four brackets become 0x7f when the bits 0x26 are set, and so do few other bytes.
bool may_matter(std::uint64_t word) {
  return has_zero(word ^ every('"')) || has_zero((word | every(0x26)) ^ every(0x7f));
}

std::size_t after_container(std::string_view text, std::size_t at) {
  for (std::size_t depth = 0; at < text.size();) {
    if (at + 8 <= text.size() && !may_matter(eight_bytes(text.data() + at))) {
      at += 8;
      continue;
    }
    switch (text[at]) {
    case '"': at = after_string(text, at); continue;
    case '{':
    case '[': ++depth; break;
    case '}':
    case ']':
      if (--depth == 0) return at + 1;
      break;
    default: break;
    }
    ++at;
  }
  return text.size();
}

} // namespace

const char* end_of_plain(const char* at, const char* end) {
  for (; end - at >= 8; at += 8) {
    const std::uint64_t word = eight_bytes(at);
    const bool control = ((word - every(0x20)) & ~word & every(0x80)) != 0;
    if (control || has_zero(word ^ every('"')) || has_zero(word ^ every('\\'))) break;
  }
  while (at != end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) >= 0x20) ++at;
  return at;
}

Result<> check(std::string_view text) {
  if (!is_utf8(text)) return fail(ErrorCode::bad_input, "expected UTF-8, got bytes that are not");
  Checker checker{text};
  if (!checker.document()) return fail(ErrorCode::bad_input, checker.fault());
  return {};
}

std::string_view name_of(Kind kind) {
  switch (kind) {
  case Kind::none: return "nothing";
  case Kind::object: return "an object";
  case Kind::array: return "an array";
  case Kind::string: return "a string";
  case Kind::number: return "a number";
  case Kind::boolean: return "true or false";
  case Kind::null: return "null";
  }
  return "nothing";
}

Kind Value::kind() const {
  if (text.empty()) return Kind::none;
  switch (text.front()) {
  case '{': return Kind::object;
  case '[': return Kind::array;
  case '"': return Kind::string;
  case 't':
  case 'f': return Kind::boolean;
  case 'n': return Kind::null;
  default: return Kind::number;
  }
}

std::size_t after_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

std::size_t after_value(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  if (text[at] == '"') return after_string(text, at);
  if (text[at] == '{' || text[at] == '[') return after_container(text, at);
  while (at < text.size() && !is_space(text[at]) && text[at] != ',' && text[at] != '}' &&
         text[at] != ']')
    ++at;
  return at;
}

Value root(std::string_view text) {
  const std::size_t from = after_space(text, 0);
  std::size_t to = text.size();
  while (to > from && is_space(text[to - 1])) --to;
  return {text.substr(from, to - from)};
}

Members::Members(Value object) {
  if (object.is(Kind::object)) text_ = object.text;
  at_ = 1;
}

std::optional<Member> Members::next() {
  at_ = after_space(text_, at_);
  if (at_ < text_.size() && text_[at_] == ',') at_ = after_space(text_, at_ + 1);
  if (at_ >= text_.size() || text_[at_] != '"') return std::nullopt;
  const std::size_t key = at_ + 1;
  at_ = after_string(text_, at_);
  Member member;
  member.key = text_.substr(key, at_ > key ? at_ - key - 1 : 0);
  at_ = after_space(text_, at_);
  if (at_ >= text_.size() || text_[at_] != ':') return std::nullopt;
  const std::size_t value = after_space(text_, at_ + 1);
  at_ = after_value(text_, value);
  if (at_ <= value) return std::nullopt;
  member.value.text = text_.substr(value, at_ - value);
  return member;
}

Elements::Elements(Value array) {
  if (array.is(Kind::array)) text_ = array.text;
  at_ = 1;
}

std::optional<Value> Elements::next() {
  at_ = after_space(text_, at_);
  if (at_ < text_.size() && text_[at_] == ',') at_ = after_space(text_, at_ + 1);
  if (at_ >= text_.size() || text_[at_] == ']') return std::nullopt;
  const std::size_t from = at_;
  at_ = after_value(text_, from);
  if (at_ <= from) return std::nullopt;
  return Value{text_.substr(from, at_ - from)};
}

bool Member::named(std::string_view name) const {
  if (key == name) return true;
  return key.find('\\') != std::string_view::npos && decoded(key) == name;
}

bool same_key(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const bool plain =
      a.find('\\') == std::string_view::npos && b.find('\\') == std::string_view::npos;
  return !plain && decoded(a) == decoded(b);
}

Value find(Value object, std::string_view name) {
  Value found;
  Members members{object};
  while (const auto member = members.next())
    if (member->named(name)) found = member->value;
  return found;
}

} // namespace gristmill::openai::json
