#include "protocol/openai/chunk/seams.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/chunk/chunks.hpp"
#include "protocol/openai/tokens/estimate.hpp"
#include "protocol/text/broken_text.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace gristmill::openai {
namespace {

// A byte that is no UTF-8 is sent as U+FFFD, which by the estimate is two tokens, and three by a
// tokenizer that knows nothing of it; nothing is more.
constexpr std::size_t tokens_a_byte_max(bool estimated) {
  return estimated ? 2 : 3;
}
// So that every piece fits into every chunk.
constexpr std::size_t piece_bytes_max(bool estimated) {
  return limits::chunk_tokens_min / tokens_a_byte_max(estimated);
}
static_assert(piece_bytes_max(false) >= 4); // of any character

// Ends of sentences, if space follows: of Latin, Arabic, Urdu and Indian scripts.
constexpr std::array<std::string_view, 8> stops{".",      "!",      "?",      "\u2026",
                                                "\u061f", "\u06d4", "\u0964", "\u0965"};
// What is as wide as a Chinese character is followed by no space.
constexpr std::array<std::string_view, 5> wide_stops{"。", "！", "？", "．", "｡"};
constexpr std::array<std::string_view, 4> wide_commas{"，", "、", "；", "："};
// What may stand between the end of a sentence and the space. Which marks open a quotation and
// which close it differs between languages; behind a stop they close it.
constexpr std::array<std::string_view, 14> closers{")",      "]",      "\"",     "'",      "*",
                                                   "_",      "\u201c", "\u201d", "\u2018", "\u2019",
                                                   "\u00ab", "\u00bb", "\u2039", "\u203a"};
// Without space some would as well open the next one.
constexpr std::array<std::string_view, 13> wide_closers{
    "」", "』", "）", "】", "》", "〉", "〕", "\u201d", "\u2019", "\"", "'", ")", "\u3000"};

// Bytes of that one with which the text begins or ends; 0 = none.
template <std::size_t n>
std::size_t begins_with(std::string_view text, const std::array<std::string_view, n>& any) {
  for (const std::string_view each : any)
    if (text.starts_with(each)) return each.size();
  return 0;
}
template <std::size_t n>
std::size_t ends_with(std::string_view text, const std::array<std::string_view, n>& any) {
  for (const std::string_view each : any)
    if (text.ends_with(each)) return each.size();
  return 0;
}

// Bytes of the UTF-8 sequence that starts here, or of what is sent as one U+FFFD.
std::size_t sequence_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return 1;
  const std::size_t bytes = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (bytes <= text.size() && json::is_utf8(text.substr(0, bytes))) return bytes;
  return json::broken_bytes(text);
}

bool ends_sentence(std::string_view word) {
  while (const std::size_t bytes =
             std::max(ends_with(word, closers), ends_with(word, wide_closers)))
    word.remove_suffix(bytes);
  if (ends_with(word, wide_stops) > 0) return true;
  if (ends_with(word, stops) == 0) return false;
  // One character and a full stop is an initial or a list's number.
  return !(word.ends_with('.') && word.size() == sequence_bytes(word) + 1);
}

// A line of Markdown that is one: "# ", "## ", … with less indentation than code has.
bool is_heading_at(std::string_view text, std::size_t at) {
  std::string_view line = text.substr(at, 3 + 6 + 1);
  const std::size_t blanks = std::min(line.find_first_not_of(' '), line.size());
  line.remove_prefix(std::min<std::size_t>(blanks, 3));
  const std::size_t marks = std::min(line.find_first_not_of('#'), line.size());
  return marks >= 1 && marks <= 6 && (marks == line.size() || is_white(line[marks]));
}

std::size_t after_white(std::string_view text, std::size_t at) {
  while (at < text.size() && is_white(text[at])) ++at;
  return at;
}

std::size_t wide_mark_bytes(std::string_view text) {
  if (static_cast<unsigned char>(text.front()) < 0xe3) return 0; // nearly all bytes
  return std::max(begins_with(text, wide_stops), begins_with(text, wide_commas));
}

std::size_t after_wide_marks(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    const std::size_t bytes = std::max(wide_mark_bytes(rest), begins_with(rest, wide_closers));
    if (bytes == 0) break;
    at += bytes;
  }
  return at;
}

std::size_t after_word(std::string_view text, std::size_t at) {
  for (; at < text.size() && !is_white(text[at]); ++at)
    if (wide_mark_bytes(text.substr(at)) > 0) return after_wide_marks(text, at);
  return at;
}

// The blanks at the beginning of a line belong to it.
std::size_t after_gap(std::string_view text, std::size_t at) {
  const std::size_t end = after_white(text, at);
  const std::size_t newline = text.substr(at, end - at).rfind('\n');
  return end == text.size() || newline == text.npos ? end : at + newline + 1;
}

bool is_blank(char c) {
  return is_white(c) && c != '\n' && c != '\r';
}

} // namespace

SeamReader::SeamReader(std::string_view text, Thousandths word_max, const bpe::Tokenizer* tokenizer)
    : text_{text}, tokenizer_{tokenizer}, word_max_{word_max},
      blank_price_{1'000}, is_utf8_{json::is_utf8(text)}, in_heading_{is_heading_at(text, 0)} {
  if (tokenizer_ != nullptr)
    token_ends_.emplace(*tokenizer_, text_);
  else
    blank_price_ = price_of(" ");
}

Thousandths SeamReader::price_of(std::string_view part) const {
  const double tokens =
      is_utf8_ ? text_tokens(part).likely : text_tokens(json::as_utf8(part)).likely;
  return static_cast<Thousandths>(std::llround(tokens * 1'000));
}

// A word is priced with the one blank before it and without the one behind it. What is priced apart
// costs no less than together, because the first character of a run is the dearest.
Seam SeamReader::seam_at(std::size_t end) {
  const bool one_blank = is_blank(text_[end - 1]) && (end == 1 || !is_blank(text_[end - 2]));
  const std::size_t priced = one_blank ? end - 1 : end;
  return {static_cast<std::uint32_t>(end), Between::characters,
          token_ends_ ? token_ends_->until(priced) * 1'000
                      : before_ + price_of(text_.substr(priced_, priced - priced_)),
          one_blank ? blank_price_ : 0};
}

std::optional<Seam> SeamReader::next() {
  if (at_end()) return std::nullopt;
  if (at_ == word_end_) read_word();
  Seam seam = seam_at(divided_ ? after_piece() : word_end_);
  at_ = seam.at;
  priced_ = seam.blank > 0 ? at_ - 1 : at_;
  before_ = seam.before;
  if (token_ends_) token_ends_->forget_before(priced_);
  if (at_ == word_end_) seam.between = behind_word_;
  return seam;
}

void SeamReader::read_word() {
  const std::size_t begin = after_white(text_, at_), end = after_word(text_, begin);
  word_end_ = after_gap(text_, end);
  behind_word_ = behind(text_.substr(begin, end - begin), text_.substr(end, word_end_ - end));
  divided_ = is_too_long(text_.substr(at_, word_end_ - at_));
}

// By a tokenizer it may have more tokens by itself than within the text.
bool SeamReader::is_too_long(std::string_view word) {
  if (word.size() * tokens_a_byte_max(tokenizer_ == nullptr) * 1'000 <= word_max_) return false;
  const Seam before_word{0, Between::words, before_, 0};
  if (tokens_between(before_word, seam_at(word_end_)) > word_max_) return true;
  return tokenizer_ != nullptr && tokenizer_->count(word) * 1'000 > word_max_;
}

Between SeamReader::behind(std::string_view word, std::string_view space) {
  const Gap gap = gap_at_end(space);
  const bool ends_line = gap >= Gap::line, in_heading = in_heading_;
  if (ends_line) in_heading_ = is_heading_at(text_, word_end_);
  if (in_heading) return Between::words; // what stands below a heading belongs to it
  if (ends_line && in_heading_) return Between::sections;
  if (ends_line) return gap == Gap::line ? Between::lines : Between::paragraphs;
  return ends_sentence(word) ? Between::sentences : Between::words;
}

std::size_t SeamReader::after_piece() const {
  std::size_t end = at_;
  while (end < word_end_) {
    const std::size_t bytes = sequence_bytes(text_.substr(end));
    if (end + bytes - at_ > piece_bytes_max(tokenizer_ == nullptr)) break;
    end += bytes;
  }
  return end;
}

} // namespace gristmill::openai
