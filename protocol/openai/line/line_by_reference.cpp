#include "protocol/openai/line/line_by_reference.hpp"

#include "protocol/limits.hpp"
#include "protocol/text/crc32c.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace gristmill::openai {
namespace {

constexpr std::string_view opening = "{\"by_reference\":[\"", before_line = "],\"line\":";

// Takes what a line begins with off its front.
bool take_front(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) return false;
  text.remove_prefix(what.size());
  return true;
}

template <class Number> bool take_digits(std::string_view& text, Number& number, int base = 10) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return true;
}

} // namespace

// The id as the coordinator would have it of an outcome that is told by value.
std::string stored_text(const protocol::Reply& reply) {
  const auto is_plain = [](char c) { return c >= ' ' && c <= '~'; };
  const bool as_it_is = reply.request_id.size() <= limits::name_bytes_max &&
                        std::ranges::all_of(reply.request_id, is_plain);
  std::string text;
  text.reserve(reply.request_id.size() + reply.body.size() + 16);
  json::append_string(text, as_it_is ? reply.request_id
                                     : json::printable(reply.request_id, limits::name_bytes_max));
  text += ",\"body\":";
  text += reply.body;
  return text;
}

std::string LineByReference::whole(std::string_view text_of_body) const {
  std::string text;
  text.reserve(line.size() + text_of_body.size());
  text += line.substr(0, body_at);
  text += text_of_body;
  text += line.substr(body_at + body_elsewhere.size());
  return text;
}

std::uint32_t crc_of_whole(std::string_view line, std::size_t body_at, const BodyPlace& body) {
  const std::uint32_t first = crc32c(line.substr(0, body_at));
  return crc32c(line.substr(body_at + body_elsewhere.size()),
                crc32c_joined(first, body.crc, body.bytes));
}

std::string line_by_reference(std::string_view line, std::size_t body_at, const BodyPlace& body) {
  return fmt::format("{}{}\",{},{},\"{:08x}\",{}{}{}}}", opening, body.file, body.offset,
                     body.bytes, body.crc, body_at, before_line, line);
}

bool is_by_reference(std::string_view text) {
  return text.starts_with(opening);
}

Result<LineByReference> read_line_by_reference(std::string_view text) {
  LineByReference read;
  std::string_view rest = text;
  const std::size_t quote = rest.find('"', opening.size());
  bool good = take_front(rest, opening) && quote != text.npos;
  if (good) {
    read.body.file = rest.substr(0, quote - opening.size());
    rest.remove_prefix(read.body.file.size());
  }
  good = good && take_front(rest, "\",") && take_digits(rest, read.body.offset) &&
         take_front(rest, ",") && take_digits(rest, read.body.bytes) && take_front(rest, ",\"") &&
         take_digits(rest, read.body.crc, 16) && take_front(rest, "\",") &&
         take_digits(rest, read.body_at) && take_front(rest, before_line) && rest.ends_with('}');
  if (good) read.line = rest.substr(0, rest.size() - 1);
  good = good && read.body_at <= read.line.size() &&
         read.line.substr(read.body_at).starts_with(body_elsewhere) &&
         read.body.bytes <= stored_bytes_max;
  if (good) return read;
  return fail(ErrorCode::bad_input, fmt::format("expected a result line by reference, got: {}",
                                                json::printable(text.substr(0, 200), 200)));
}

} // namespace gristmill::openai
