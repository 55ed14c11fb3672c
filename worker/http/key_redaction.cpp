#include "worker/http/key_redaction.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <string>

namespace gristmill::worker {
namespace {

constexpr std::size_t secret_bytes_min = 8, word_bytes_max = 15;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Nobody escapes any of these.
bool is_plain(char c) {
  return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || c == '~';
}

// A word or a number that an answer may hold, too.
bool is_word(std::string_view key) {
  return key.size() <= word_bytes_max && (std::all_of(key.begin(), key.end(), is_letter) ||
                                          std::all_of(key.begin(), key.end(), is_digit));
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool is_hex_of(std::string_view text, unsigned char c) {
  return text.size() >= 2 && hex_digit(text[0]) == c / 16 && hex_digit(text[1]) == c % 16;
}

// How long the spelling of `c` is with which `text` begins; 0 = it begins with something else.
std::size_t spelled(std::string_view text, char c) {
  if (text.starts_with(c) && c != '\\') return 1;
  const auto byte = static_cast<unsigned char>(c);
  if (text.starts_with("\\u00") && is_hex_of(text.substr(4), byte)) return 6;
  if (text.starts_with('%') && is_hex_of(text.substr(1), byte)) return 3;
  if (text.size() >= 2 && text[0] == '\\' && text[1] == c && !is_plain(c)) return 2;
  return text.starts_with(c) ? 1 : 0;
}

std::size_t spelled(std::string_view text, std::string_view key) {
  std::size_t length = 0;
  for (const char c : key) {
    const std::size_t one = spelled(text.substr(length), c);
    if (one == 0) return 0;
    length += one;
  }
  return length;
}

struct Found {
  std::size_t at, length;
};

// Replaces what `next(from)` finds, in one pass: a server may repeat a key a million times.
template <class Next> void replace_all(std::string& text, Next next) {
  std::optional<Found> found = next(std::size_t{0});
  if (!found) return;
  std::string kept;
  kept.reserve(text.size());
  std::size_t from = 0;
  for (; found; found = next(from)) {
    kept.append(text, from, found->at - from).append(key_redacted);
    from = found->at + found->length;
  }
  kept.append(text, from);
  text = std::move(kept);
}

void replace_spellings(std::string& text, std::string_view key) {
  replace_all(text, [&](std::size_t from) -> std::optional<Found> {
    for (; from < text.size(); ++from)
      if (const auto length = spelled(std::string_view{text}.substr(from), key); length != 0)
        return Found{from, length};
    return std::nullopt;
  });
}

void replace(std::string& text, std::string_view what) {
  replace_all(text, [&](std::size_t from) -> std::optional<Found> {
    const auto at = text.find(what, from);
    return at == text.npos ? std::nullopt : std::optional{Found{at, what.size()}};
  });
}

// Without the end that depends on what follows.
std::string base64_of(std::string_view key) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string encoded;
  for (std::size_t i = 0; i + 2 < key.size(); i += 3) {
    std::uint32_t bits = 0;
    for (const char c : key.substr(i, 3)) bits = bits << 8 | static_cast<unsigned char>(c);
    for (int shift = 18; shift >= 0; shift -= 6) encoded += digits[bits >> shift & 63];
  }
  return encoded;
}

} // namespace

void redact_key(CallEnded& ended, std::string_view key) {
  // A server drops the space around a header's value.
  while (key.starts_with(' ')) key.remove_prefix(1);
  while (key.ends_with(' ')) key.remove_suffix(1);
  if (key.empty()) return;
  const bool succeeded = ended.http_status >= 200 && ended.http_status < 300;
  const auto redact = [&](std::string& text, bool may_be_word) {
    if (key.size() < secret_bytes_min || (may_be_word && is_word(key)))
      return replace(text, fmt::format("Bearer {}", key));
    if (std::all_of(key.begin(), key.end(), is_plain))
      replace(text, key);
    else
      replace_spellings(text, key);
    replace(text, base64_of(key));
  };
  redact(ended.body, succeeded);
  redact(ended.message, false);
  for (auto& [name, value] : ended.headers) redact(value, false);
}

} // namespace gristmill::worker
