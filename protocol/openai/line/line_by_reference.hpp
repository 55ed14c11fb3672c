// LINE BY REFERENCE: how a result line stands in its segment when what its server said stands in a
// file of a shared directory:
//
//   {"by_reference":["FILE",OFFSET,BYTES,"CRC",AT],"line":LINE}
//
// The file has the value of "request_id", the key "body" and the body (stored_text). LINE has null
// in their place, at byte AT of it, and the seal of the whole line, of which the CRC follows from
// LINE's and the file's. Invariant: the whole line is, byte for byte, what it would be by value.
#pragma once

#include "protocol/limits.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::openai {

inline constexpr std::string_view body_elsewhere = "null";
// A request's id has at most limits::name_bytes_max, and may be escaped.
inline constexpr std::size_t stored_bytes_max =
    limits::reply_bytes_max + 8 * limits::name_bytes_max;

std::string stored_text(const protocol::Reply& reply);

struct BodyPlace {
  std::string file; // below the coordinator's shared directory
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0, crc = 0; // CRC-32C
};

struct LineByReference {
  BodyPlace body;
  std::string_view line;
  std::size_t body_at = 0;
  std::size_t whole_bytes() const { return line.size() - body_elsewhere.size() + body.bytes; }
  std::string whole(std::string_view text_of_body) const;
};

// Of a line, or of its beginning, with the body in its place.
std::uint32_t crc_of_whole(std::string_view line, std::size_t body_at, const BodyPlace& body);

std::string line_by_reference(std::string_view line, std::size_t body_at, const BodyPlace& body);
bool is_by_reference(std::string_view text);
// Both without a newline. The error is a sentence.
Result<LineByReference> read_line_by_reference(std::string_view text);

} // namespace gristmill::openai
