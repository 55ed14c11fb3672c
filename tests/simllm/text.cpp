#include "text.hpp"

#include <algorithm>

namespace gristmill::simllm {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

void append_u_escape(std::string& out, unsigned char byte) {
  out += "\\u00";
  out += hex_digits[byte >> 4];
  out += hex_digits[byte & 15];
}

void append_quoted(std::string& out, std::string_view text, bool escape_high_bytes) {
  out += '"';
  std::size_t plain_from = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool plain = byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f;
    if (plain && (byte < 0x80 || !escape_high_bytes)) continue;
    out.append(text.substr(plain_from, i - plain_from));
    plain_from = i + 1;
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i];
    } else {
      append_u_escape(out, byte);
    }
  }
  out.append(text.substr(plain_from));
  out += '"';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

} // namespace

void append_hex8(std::string& out, std::uint32_t value) {
  for (int shift = 28; shift >= 0; shift -= 4) out += hex_digits[(value >> shift) & 15];
}

void append_json(std::string& out, std::string_view utf8) {
  append_quoted(out, utf8, false);
}

void append_json_latin1(std::string& out, std::string_view bytes) {
  append_quoted(out, bytes, true);
}

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

} // namespace gristmill::simllm
