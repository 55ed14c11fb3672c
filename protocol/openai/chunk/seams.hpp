// SEAMS: the places where a text may be divided, in order, each with what stands on its two sides
// and with the tokens of the text before it. Words hang together with the space behind them; what
// has no space in it (Chinese) also ends behind its own commas and stops; a word that is too long
// is divided into pieces of a few characters. Invariant: the last seam is the text's end, none
// stands within a UTF-8 sequence, and of two of them what lies between has at most the tokens that
// their difference says, by the estimate and as it will be sent; with a tokenizer it has so many in
// the text as a whole, and one step from a seam to the next fits into every chunk by itself. One
// pass, memory for one word.
#pragma once

#include "protocol/openai/tokens/bpe/tokenizer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace gristmill::openai {

// What a seam divides; the later, the better to divide there.
enum class Between : std::uint8_t { characters, words, sentences, lines, paragraphs, sections };

// Whole numbers, so that no machine's rounding moves a seam: the estimate's prices have two digits.
using Thousandths = std::uint64_t; // of a token

struct Seam {
  std::uint32_t at = 0; // bytes of the text before it
  Between between = Between::words;
  // One blank belongs to the token of the word behind it; where no word follows, it is a token.
  Thousandths before = 0; // of the text before the seam, but for one blank that stands at its end
  Thousandths blank = 0;  // of that one
};
// Of the text between two seams.
inline Thousandths tokens_between(const Seam& begin, const Seam& end) {
  return end.before - begin.before + end.blank;
}

class SeamReader {
public:
  // Words of more than so many are divided. `tokenizer`: nullptr = tokens are estimated.
  SeamReader(std::string_view text, Thousandths word_max,
             const bpe::Tokenizer* tokenizer = nullptr);
  std::optional<Seam> next(); // none behind the text's end
  bool at_end() const { return at_ == text_.size(); }

private:
  void read_word();
  Between behind(std::string_view word, std::string_view space);
  std::size_t after_piece() const;
  Seam seam_at(std::size_t end);
  bool is_too_long(std::string_view word);
  Thousandths price_of(std::string_view part) const;

  std::string_view text_;
  const bpe::Tokenizer* tokenizer_;
  std::optional<bpe::Tokenizer::Ends> token_ends_; // of that
  Thousandths word_max_, blank_price_;
  bool is_utf8_;
  std::size_t at_ = 0, priced_ = 0; // bytes behind the last seam, and those in its `before`
  Thousandths before_ = 0;
  // The word that is being read, with the space behind it.
  std::size_t word_end_ = 0;
  Between behind_word_ = Between::words;
  bool divided_ = false;
  bool in_heading_; // of Markdown, at the end of that word
};

// Bytes up to the space of ASCII: what the estimate takes for blanks and ends of lines.
constexpr bool is_white(char c) {
  return static_cast<unsigned char>(c) <= ' ';
}

} // namespace gristmill::openai
