#include "protocol/openai/tokens/estimate.hpp"

#include <algorithm>

namespace gristmill::openai {
namespace {

enum class Script : std::uint8_t {
  letter, // ASCII
  digit,  // ASCII
  mark,   // ASCII punctuation and symbols
  blank,  // space and tab
  line_end,
  accented,  // Latin beyond ASCII
  alphabet,  // Greek, Cyrillic, Armenian
  consonant, // Hebrew, Arabic, the scripts of South and South-East Asia
  ideograph, // Chinese, Japanese, Korean
  sign,      // quotation marks, dashes, arrows
  other,     // emoji, rare scripts, bytes that are no UTF-8
};

struct Character {
  Script script = Script::other;
  std::size_t bytes = 1;
};

Script script_of(char32_t c) {
  if (c < 0x250) return Script::accented;
  if (c < 0x590) return Script::alphabet;
  if (c < 0x1100) return Script::consonant;
  if (c < 0x1200) return Script::ideograph; // Hangul letters
  if (c < 0x1e00) return Script::consonant;
  if (c < 0x1f00) return Script::accented;
  if (c < 0x2000) return Script::alphabet;
  if (c < 0x2e80) return Script::sign;
  if (c < 0xd7b0) return Script::ideograph;
  if (c >= 0xf900 && c < 0xfb00) return Script::ideograph;
  if (c >= 0xff00 && c < 0xfff0) return Script::ideograph;
  return Script::other;
}

Script script_of_ascii(unsigned char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Script::letter;
  if (c >= '0' && c <= '9') return Script::digit;
  if (c == '\n' || c == '\r') return Script::line_end;
  return c <= ' ' ? Script::blank : Script::mark;
}

Character character_at(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {script_of_ascii(first), 1};
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || bytes > text.size()) return {};
  char32_t code = first & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  return {bytes == 4 ? Script::other : script_of(code), bytes};
}

// What one run of characters of a script costs, and what each character beyond the first adds.
struct Price {
  TokenRange first, next;
};

// Nearly all words of up to three letters are one token in every vocabulary; beyond that each
// letter makes two or three a little more likely, and long words, or those of languages that build
// them, are put together from pieces.
constexpr double letters_free = 3, letters_known = 8;
constexpr TokenRange per_letter{0.04, 0.09, 0.2}, per_late_letter{0.08, 0.17, 0.25};

constexpr Price price_of(Script script) {
  switch (script) {
  case Script::letter: return {{1, 1, 1}, {}};              // see per_letter
  case Script::digit: return {{0.9, 1, 1}, {0.34, 0.6, 1}}; // three at a time, or one by one
  case Script::mark: return {{0.7, 0.9, 1}, {0.12, 0.3, 1}};
  case Script::blank: return {{0.6, 1, 1}, {0, 0.05, 0.3}}; // but for the one before a word
  case Script::line_end: return {{0.4, 0.8, 1}, {0, 0.2, 1}};
  case Script::accented: return {{0.2, 0.6, 1.2}, {0.2, 0.6, 1.2}};
  case Script::alphabet: return {{0.6, 1, 1.5}, {0.25, 0.4, 0.6}};
  case Script::consonant: return {{0.7, 1, 1.5}, {0.28, 0.6, 1.1}};
  case Script::ideograph: return {{0.6, 0.9, 1.5}, {0.6, 0.9, 1.5}};
  case Script::sign: return {{0.7, 1, 2}, {0.4, 0.8, 2}};
  case Script::other: return {{1, 2, 4}, {0.6, 1.8, 4}};
  }
  return {};
}

struct Run {
  Script script = Script::other;
  std::size_t characters = 0, bytes = 0;
};

Run run_at(std::string_view text) {
  Run run;
  while (run.bytes < text.size()) {
    const Character c = character_at(text.substr(run.bytes));
    if (run.characters > 0 && c.script != run.script) break;
    run.script = c.script;
    ++run.characters;
    run.bytes += c.bytes;
  }
  return run;
}

TokenRange price_of(const Run& run) {
  const auto beyond_first = static_cast<double>(run.characters - 1);
  if (run.script == Script::letter) {
    TokenRange word{1, 1, 1};
    const double letters = beyond_first + 1;
    word +=
        times(per_letter, std::clamp(letters - letters_free, 0.0, letters_known - letters_free));
    word += times(per_late_letter, std::max(0.0, letters - letters_known));
    return word;
  }
  const Price price = price_of(run.script);
  TokenRange sum = price.first;
  sum += times(price.next, beyond_first);
  return sum;
}

} // namespace

TokenRange text_tokens(std::string_view text) {
  TokenRange sum;
  const auto all_bytes = static_cast<double>(text.size());
  bool after_blank = false;
  while (!text.empty()) {
    const Run run = run_at(text);
    text.remove_prefix(run.bytes);
    // The one blank before a word is part of the word's token; before a digit it often is not.
    const bool joins = run.script == Script::blank && run.characters == 1 && !text.empty();
    if (joins) {
      after_blank = true;
      continue;
    }
    sum += price_of(run);
    if (after_blank && run.script == Script::digit) sum += {0, 0.4, 1};
    after_blank = false;
  }
  sum.high = std::min(sum.high, all_bytes);
  sum.likely = std::min(sum.likely, sum.high);
  sum.low = std::min(sum.low, sum.likely);
  return sum;
}

} // namespace gristmill::openai
