// Small appenders: numbers, hexadecimal and JSON strings onto the end of a std::string.
//
// Every reply and every log line is built by appending to one string, because that is the cheapest
// way to make text and this server shares its cores with the program it tests.
// Invariant: whatever is appended as JSON is valid JSON in valid UTF-8.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::simllm {

template <typename Number>
requires std::integral<Number> || std::floating_point<Number>
void append_number(std::string& out, Number value) {
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end.ptr);
}

// Eight lower-case hexadecimal digits.
void append_hex8(std::string& out, std::uint32_t value);

// A quoted JSON string; the text must be valid UTF-8, as everything read from JSON is.
void append_json(std::string& out, std::string_view utf8);

// A quoted JSON string from the bytes of an HTTP header, which nobody promised to be UTF-8: each
// byte above 0x7f is written as the Latin-1 character that it is.
void append_json_latin1(std::string& out, std::string_view bytes);

bool equal_ignoring_case(std::string_view left, std::string_view right);

} // namespace gristmill::simllm
