#include "protocol/text/json_text.hpp"

#include <bit>
#include <cstring>

namespace gristmill::json {
namespace {

constexpr std::uint64_t every(unsigned char byte) {
  return 0x0101010101010101u * byte;
}

// Eight bytes at a time: the high bit of the first that is zero, and of none before it.
constexpr std::uint64_t zeros(std::uint64_t word) {
  return (word - every(0x01)) & ~word & every(0x80);
}
static_assert(std::endian::native == std::endian::little, "the first byte is the lowest");
int bytes_before(std::uint64_t high_bits) {
  return std::countr_zero(high_bits) / 8;
}
std::uint64_t eight_bytes(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

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
std::uint64_t may_matter(std::uint64_t word) {
  return zeros(word ^ every('"')) | zeros((word | every(0x26)) ^ every(0x7f));
}

std::size_t after_container(std::string_view text, std::size_t at) {
  for (std::size_t depth = 0; at < text.size();) {
    if (at + 8 <= text.size()) {
      const std::uint64_t found = may_matter(eight_bytes(text.data() + at));
      at += found == 0 ? 8 : static_cast<std::size_t>(bytes_before(found));
      if (found == 0) continue;
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
    const std::uint64_t control = (word - every(0x20)) & ~word & every(0x80);
    const std::uint64_t found = control | zeros(word ^ every('"')) | zeros(word ^ every('\\'));
    if (found != 0) return at + bytes_before(found);
  }
  while (at != end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) >= 0x20) ++at;
  return at;
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

std::uint64_t elements_in(Value array) {
  std::uint64_t count = 0;
  Elements elements{array};
  while (elements.next()) ++count;
  return count;
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

} // namespace gristmill::json
