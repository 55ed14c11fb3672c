// ANSWER: whether a body that came with a status of success is the answer to what was asked. A
// server that fails in the midst of an answer has sent its status long before: the fault stands in
// the body, in a choice or in a count. Invariant: no fault = every part that was asked for is
// there, whole as far as the server says.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/api.hpp"

#include "protocol/text/json_text.hpp"

#include <optional>
#include <string>

namespace gristmill::openai {

struct AnswerFault {
  OutcomeClass cls = OutcomeClass::transient;
  std::string code, message;
  std::int64_t retry_after_ms = -1;
  bool may_be_repaired = false; // as of Reply
};

// Of its form: not of the kind, or nothing in it. What the body says of an error comes first.
std::optional<AnswerFault> form_fault(const Asked& asked, json::Value body);

// Of an answer of its kind: what its choices or its status say, too few answers, JSON that is none.
std::optional<AnswerFault> content_fault(const Asked& asked, json::Value body);

// What a server sent, for a sentence.
inline constexpr std::size_t sample_bytes = 200;
std::string sample_of(std::string_view text);

std::string finish_reason_of(json::Value choice);
bool is_cut(std::string_view finish_reason); // by the limit of tokens, or of the context

} // namespace gristmill::openai
