// TOKEN BOUND: the most tokens that a request may be charged, known before it is rendered.
// Invariant: no tokenizer that works on bytes counts more.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/openai/template/document_template.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::openai {

// An upper bound of the tokens that a request may be charged: UTF-8 bytes of all its text plus a
// fixed overhead per message, plus n times the most the answer may have (max_completion_tokens,
// max_tokens, max_output_tokens, else `max_output_tokens_default`). A byte-level tokenizer makes at
// least one byte of each token, hence the bound. Embeddings have no answer tokens. Takes the raw
// item, so that the coordinator need not render: the bytes of the raw item bound those of its text.
struct TokenBound {
  std::uint64_t input = 0, output = 0;
  bool output_stated = true;   // the request limits its answer, or there is none that counts
  std::uint64_t text = 0;      // of a text to embed, without what goes around it
  std::uint64_t total() const; // the greatest number, if it is beyond all
};
TokenBound token_bounds(const JobSpec& spec, ItemKind kind, std::string_view raw,
                        std::uint64_t max_output_tokens_default);
// Whether the job itself limits the answers to all its documents.
bool limits_answers(const JobSpec& spec);
std::uint64_t token_bound(const JobSpec& spec, ItemKind kind, std::string_view raw,
                          std::uint64_t max_output_tokens_default);

// The members of a request that say how long its answers may be.
inline constexpr std::array<std::string_view, 5> answer_limit_names{
    "max_completion_tokens", "max_tokens", "max_output_tokens", "n", "best_of"};
struct AnswerLimit {
  bool named = false;
  std::optional<std::uint64_t> most; // of equal members the greatest, whichever the server reads
};
using AnswerLimits = std::array<AnswerLimit, answer_limit_names.size()>;

// What of a token bound is the job's and not the item's.
class JobTokens {
public:
  JobTokens(const JobSpec& spec, const DocumentTemplate& documents);

  TokenBound bounds(ItemKind kind, std::string_view raw,
                    std::uint64_t max_output_tokens_default) const;

private:
  std::uint64_t params_bytes_, uses_, template_bytes_, added_bytes_;
  std::string assume_url_;
  bool embeds_;
  AnswerLimits limits_; // of the job's parameters
};

} // namespace gristmill::openai
