#include "protocol/msgpack_reader.hpp"

#include <fmt/format.h>
#include <limits>

namespace gristmill::protocol {
namespace {

// More than any struct of ours has, and few enough to compare each with each.
constexpr std::uint64_t map_keys_max = 64;

constexpr std::string_view kind_names[]{
    "nil",    "a flag", "a natural number", "a negative number", "a real number", "text", "bytes",
    "a list", "a map"};

} // namespace

bool MsgpackReader::fail(std::string_view what) {
  fault_ = fmt::format("{} at byte {} of {}", what, at_, bytes_.size());
  if (!key_.empty()) fault_ += fmt::format(", under key \"{}\"", key_);
  return false;
}

// msgpack's first bytes:
//   00-7f natural   80-8f map    90-9f array    a0-bf text    e0-ff negative
//   c0 nil   c2 c3 flag   c4-c6 bytes   c7-c9 d4-d8 extension   ca cb real
//   cc-cf natural   d0-d3 integer   d9-db text   dc dd array   de df map
bool MsgpackReader::next(Token& token) {
  if (left() == 0) return fail("expected a value, got the frame's end");
  const auto lead = static_cast<std::uint8_t>(bytes_[at_]);
  if (lead >= 0xc0 && lead <= 0xdf) {
    if (!next_wide(token, lead)) return false;
  } else {
    ++at_;
    if (lead < 0x80)
      token = {Kind::natural, lead, {}};
    else if (lead < 0x90)
      token = {Kind::map, lead & 0x0fu, {}};
    else if (lead < 0xa0)
      token = {Kind::array, lead & 0x0fu, {}};
    else if (lead < 0xc0)
      token = {Kind::text, lead & 0x1fu, {}};
    else
      token = {Kind::negative, ~std::uint64_t{0xff} | lead, {}};
  }
  if (token.kind != Kind::text && token.kind != Kind::opaque) return true;
  if (token.number > left())
    return fail(fmt::format("{} bytes are announced, {} are left", token.number, left()));
  token.body = bytes_.substr(at_, token.number);
  at_ += token.number;
  return true;
}

// A first byte from c0 to df, and the big-endian number behind it.
bool MsgpackReader::next_wide(Token& token, std::uint8_t lead) {
  std::size_t width = 0;
  if (lead == 0xc0)
    token.kind = Kind::nil;
  else if (lead == 0xc2 || lead == 0xc3)
    token = {Kind::boolean, lead & 1u, {}};
  else if (lead >= 0xc4 && lead <= 0xc6)
    token.kind = Kind::opaque, width = 1u << (lead - 0xc4);
  else if (lead == 0xca || lead == 0xcb)
    token.kind = Kind::real, width = 4u << (lead - 0xca);
  else if (lead >= 0xcc && lead <= 0xcf)
    token.kind = Kind::natural, width = 1u << (lead - 0xcc);
  else if (lead >= 0xd0 && lead <= 0xd3)
    token.kind = Kind::negative, width = 1u << (lead - 0xd0);
  else if (lead >= 0xd9 && lead <= 0xdb)
    token.kind = Kind::text, width = 1u << (lead - 0xd9);
  else if (lead == 0xdc || lead == 0xdd)
    token.kind = Kind::array, width = 2u << (lead - 0xdc);
  else if (lead == 0xde || lead == 0xdf)
    token.kind = Kind::map, width = 2u << (lead - 0xde);
  else
    return fail(fmt::format("a value may not begin with {:#04x}", lead));
  if (width > left() - 1) return fail("the frame ends within a number");
  ++at_;
  if (width == 0) return true;
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < width; ++i)
    number = number << 8 | static_cast<std::uint8_t>(bytes_[at_ + i]);
  at_ += width;
  if (token.kind == Kind::negative) {
    const bool minus = (number >> (8 * width - 1) & 1) != 0;
    if (!minus)
      token.kind = Kind::natural;
    else if (width < 8)
      number |= ~std::uint64_t{0} << (8 * width);
  }
  token.number = number;
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
