#include "protocol/limits.hpp"
#include "protocol/text/json_mend.hpp"
#include "protocol/text/json_text.hpp"

#include <cstring>
#include <fmt/format.h>

namespace gristmill::json {
namespace {

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

  bool at_end() const { return at_ == end_; }
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
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
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

} // namespace

std::optional<Fault> fault_of(std::string_view text) {
  if (!is_utf8(text)) return Fault{"expected UTF-8, got bytes that are not", false};
  Checker checker{text};
  if (checker.document()) return std::nullopt;
  return Fault{checker.fault(), checker.at_end()};
}

Result<> check(std::string_view text) {
  if (auto fault = fault_of(text)) return fail(ErrorCode::bad_input, std::move(fault->sentence));
  return {};
}

} // namespace gristmill::json
