// What an endpoint says when it does not answer, in any of the forms that servers use, and the
// class that follows from it. Invariant: every status and every body gives a class other than ok.
#pragma once

#include "protocol/openai/json_text.hpp"
#include "protocol/openai/wire.hpp"

#include <optional>
#include <string>

namespace gristmill::openai {

struct ErrorBody {
  std::string code, type, message;
  std::string inner_code;          // innererror.code
  std::uint16_t status = 0;        // an HTTP status that the body names as its code
  std::optional<OutcomeClass> cls; // of a provider with its own numbers
};

// The error that a checked JSON body reports:
//
//   {"error":{"message","type","param","code"}}   code: string, number or null
//   {"error":"message"}
//   {"object":"error","message","type","code"}
//   {"type":"error","error":{"type","message"}}
//   {"base_resp":{"status_code","status_msg"}}    status_code other than 0
//
// Nothing if it reports none; an `error` of null, false or {} is none.
std::optional<ErrorBody> read_error(json::Value body);

struct Verdict {
  OutcomeClass cls = OutcomeClass::transient;
  bool by_status = true; // nothing but the status spoke: x-should-retry may overrule it
};

// `status` 0: the body came with 200, so it alone speaks.
Verdict classify(Api api, std::uint16_t status, const ErrorBody& error);

// Whether a refusal names a limit of tokens rather than of calls.
bool names_tokens(const ErrorBody& error);

} // namespace gristmill::openai
