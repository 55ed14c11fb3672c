// TOKEN ESTIMATE: about how many tokens a request will be charged. A byte-pair tokenizer first
// cuts a text into words, digits, marks and blanks, and then spends tokens by what it has seen
// most: a short English word is one, a rare or long word some, a Chinese character about one, an
// emoji several. Where there is none to ask, texts are estimated by that: each kind of run has its
// own price, low for the large vocabularies of today (200,000 entries), high for the small ones
// (32,000). Invariant: low <= likely <= high, and a text's high end is at most its bytes, which
// bound what any byte-level tokenizer can make of it.
#pragma once

#include "protocol/openai/request/render.hpp"

namespace gristmill::bpe {
class Tokenizer;
} // namespace gristmill::bpe

namespace gristmill::openai {

// Not whole numbers: the errors of a million roundings would add up.
struct TokenRange {
  double low = 0, likely = 0, high = 0;

  TokenRange& operator+=(const TokenRange& other) {
    low += other.low;
    likely += other.likely;
    high += other.high;
    return *this;
  }
};
inline TokenRange times(TokenRange range, double n) {
  return {range.low * n, range.likely * n, range.high * n};
}

struct TokenEstimate {
  TokenRange input, output;
};

// What an answer is taken to be when nothing but its limit is known: an answer in a paragraph or
// two. Only a trial of some items tells more.
inline constexpr double answer_tokens_likely = 256;

// The most that an answer may have when neither its request nor its pool says: what is reserved for
// it then.
inline constexpr std::uint64_t answer_tokens_default = 4'096;

// In text_tokens.cpp.

// Of UTF-8 text; other bytes are counted as the worst that they can be.
TokenRange text_tokens(std::string_view text);

// In estimate.cpp.

// Of a rendered request. Input: its text, what a chat template puts around each message, its tools
// and its JSON schema; an image counts as one of about a megapixel, whatever it is. Output: one
// token to the limit that the request names (max_completion_tokens, max_tokens, max_output_tokens,
// else `max_output_tokens_default`), likely the lesser of that and `answer_tokens_likely`; each
// times the answers asked for. Embeddings, scores and the like have no output.
// With a tokenizer texts are counted, and nothing is added to one that is no chat; what a chat
// template adds, and how tools and schemas are shown to the model, remains an estimate.
TokenEstimate estimate_tokens(const Request& request, std::uint64_t max_output_tokens_default,
                              const bpe::Tokenizer* tokenizer = nullptr);

} // namespace gristmill::openai
