// The class that follows from what an endpoint says when it does not answer: its words first
// (words.hpp), then its status. Invariant: every status and every body gives a class other
// than ok.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/errors/body.hpp"

namespace gristmill::openai {

struct Verdict {
  OutcomeClass cls = OutcomeClass::transient;
  bool by_status = true; // nothing but the status spoke: x-should-retry may overrule it
};

// `status` 0: the body came with 200, so it alone speaks.
Verdict classify(Api api, std::uint16_t status, const ErrorBody& error);

// Whether a refusal names a limit of tokens rather than of calls.
bool names_tokens(const ErrorBody& error);

} // namespace gristmill::openai
