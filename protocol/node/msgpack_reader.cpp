#include "protocol/node/msgpack_reader.hpp"

#include <fmt/format.h>
#include <limits>

namespace gristmill::protocol {
namespace {

// More than any struct of ours has, and few enough to compare each with each.
constexpr std::uint64_t map_keys_max = 64;

constexpr std::string_view kind_names[]{
    "nothing",       "nil",  "a flag", "a natural number", "a negative number",
    "a real number", "text", "bytes",  "a list",           "a map",
};

} // namespace

// What the first bytes from c0 to df announce, and how many bytes of a number follow them. Below c0
// the first byte holds the number itself: 00-7f natural, 80-8f map, 90-9f array, a0-bf text; from
// e0 on it is a negative number.
const MsgpackReader::Lead MsgpackReader::leads[]{
    {Kind::nil, 0},      {Kind::none, 0},     {Kind::boolean, 0},  {Kind::boolean, 0},
    {Kind::opaque, 1},   {Kind::opaque, 2},   {Kind::opaque, 4},   {Kind::none, 0},
    {Kind::none, 0},     {Kind::none, 0},     {Kind::real, 4},     {Kind::real, 8},
    {Kind::natural, 1},  {Kind::natural, 2},  {Kind::natural, 4},  {Kind::natural, 8},
    {Kind::negative, 1}, {Kind::negative, 2}, {Kind::negative, 4}, {Kind::negative, 8},
    {Kind::none, 0},     {Kind::none, 0},     {Kind::none, 0},     {Kind::none, 0},
    {Kind::none, 0},     {Kind::text, 1},     {Kind::text, 2},     {Kind::text, 4},
    {Kind::array, 2},    {Kind::array, 4},    {Kind::map, 2},      {Kind::map, 4},
};

bool MsgpackReader::fail(std::string_view what) {
  fault_ = fmt::format("{} at byte {} of {}", what, at_, bytes_.size());
  if (!key_.empty()) fault_ += fmt::format(", under key \"{}\"", key_);
  return false;
}

bool MsgpackReader::next(Token& token) {
  if (left() == 0) return fail("expected a value, got the frame's end");
  const auto first = static_cast<std::uint8_t>(bytes_[at_]);
  if (first < 0x80) {
    token.kind = Kind::natural;
    token.number = first;
  } else if (first < 0xc0) {
    token.kind = first < 0x90 ? Kind::map : first < 0xa0 ? Kind::array : Kind::text;
    token.number = first & (first < 0xa0 ? 0x0fu : 0x1fu);
  } else if (first < 0xe0) {
    return next_wide(token, first);
  } else {
    token.kind = Kind::negative;
    token.number = ~std::uint64_t{0xff} | first;
  }
  ++at_;
  return next_body(token);
}

bool MsgpackReader::next_wide(Token& token, std::uint8_t first) {
  const auto [kind, width] = leads[first - 0xc0];
  if (kind == Kind::none) return fail(fmt::format("no value may begin with {:#04x}", first));
  if (left() <= width) return fail("the frame ends within a number");
  ++at_;
  token.kind = kind;
  token.number = kind == Kind::boolean ? first & 1u : 0;
  for (const std::size_t end = at_ + width; at_ < end; ++at_)
    token.number = token.number << 8 | static_cast<std::uint8_t>(bytes_[at_]);
  if (kind == Kind::negative) {
    const std::uint64_t sign = std::uint64_t{1} << (8 * width - 1);
    if ((token.number & sign) == 0) token.kind = Kind::natural;
    token.number = (token.number ^ sign) - sign;
  }
  return next_body(token);
}

bool MsgpackReader::next_body(Token& token) {
  if (token.kind != Kind::text && token.kind != Kind::opaque) return true;
  if (token.number > left())
    return fail(fmt::format("{} bytes are announced, {} are left", token.number, left()));
  token.body = bytes_.substr(at_, token.number);
  at_ += token.number;
  return true;
}

bool MsgpackReader::next(Token& token, Kind wanted) {
  if (!next(token)) return false;
  if (token.kind == wanted) return true;
  return fail(fmt::format("expected {}, got {}", kind_names[static_cast<int>(wanted)],
                          kind_names[static_cast<int>(token.kind)]));
}

bool MsgpackReader::natural(std::uint64_t& value, std::uint64_t max) {
  Token token;
  if (!next(token, Kind::natural)) return false;
  value = token.number;
  return value <= max || fail(fmt::format("expected a number up to {}, got {}", max, value));
}

bool MsgpackReader::integer(std::int64_t& value) {
  Token token;
  if (!next(token)) return false;
  const bool fits = token.kind == Kind::negative ||
                    (token.kind == Kind::natural &&
                     token.number <= std::uint64_t{std::numeric_limits<std::int64_t>::max()});
  if (!fits) return fail("expected a number of 64 bits with sign");
  value = static_cast<std::int64_t>(token.number);
  return true;
}

bool MsgpackReader::boolean(bool& value) {
  Token token;
  if (!next(token, Kind::boolean)) return false;
  value = token.number != 0;
  return true;
}

bool MsgpackReader::body(std::string_view& value, Kind wanted, std::size_t bytes_max) {
  Token token;
  if (!next(token, wanted)) return false;
  value = token.body;
  return value.size() <= bytes_max ||
         fail(fmt::format("expected at most {} bytes, got {}", bytes_max, value.size()));
}

bool MsgpackReader::text(std::string_view& value, std::size_t bytes_max) {
  return body(value, Kind::text, bytes_max);
}

bool MsgpackReader::opaque(std::string_view& value, std::size_t bytes_max) {
  return body(value, Kind::opaque, bytes_max);
}

// An element takes at least a byte, so a count above the bytes left is a lie.
bool MsgpackReader::enter(std::uint64_t elements, std::uint64_t most) {
  if (depth_ == limits::frame_depth_max)
    return fail(fmt::format("more than {} levels", limits::frame_depth_max));
  if (elements > most)
    return fail(fmt::format("expected at most {} elements, got {}", most, elements));
  if (elements > left())
    return fail(fmt::format("{} elements are announced, {} bytes are left", elements, left()));
  ++depth_;
  return true;
}

bool MsgpackReader::array(std::uint32_t& count, std::size_t element_bytes) {
  Token token;
  if (!next(token, Kind::array) || !enter(token.number, limits::frame_elements_max)) return false;
  count = static_cast<std::uint32_t>(token.number);
  if (count * element_bytes > memory_left_)
    return fail(
        fmt::format("{} elements ask for more memory than a frame of this size may", count));
  memory_left_ -= count * element_bytes;
  return true;
}

bool MsgpackReader::map(std::uint32_t& count) {
  Token token;
  if (!next(token, Kind::map) || !enter(token.number, map_keys_max)) return false;
  count = static_cast<std::uint32_t>(token.number);
  return true;
}

bool MsgpackReader::skip() {
  Token token;
  if (!next(token)) return false;
  if (token.kind != Kind::array && token.kind != Kind::map) return true;
  const std::uint64_t elements = token.kind == Kind::map ? 2 * token.number : token.number;
  if (!enter(elements, limits::frame_elements_max)) return false;
  for (std::uint64_t i = 0; i < elements; ++i)
    if (!skip()) return false;
  leave();
  return true;
}

bool MsgpackReader::end() {
  return left() == 0 || fail(fmt::format("{} bytes follow the frame", left()));
}

} // namespace gristmill::protocol
