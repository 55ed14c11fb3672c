// ERROR BODY: what an endpoint says of an error, in any of the forms that servers use:
//
//   {"error":{"message","type","param","code"}}            OpenAI and its kin; code: word or number
//   {"error":"message"}, {"message":…}, {"msg":…}, …       one level less
//   {"object":"error","message","type","code"}             vLLM, Mistral
//   {"type":"error","error":{"type","message"}}            Anthropic
//   [{"error":{"code","message","status","details"}}]      Google
//   {"detail":"…"}, {"detail":[{"loc","msg","type"}]}      FastAPI
//   {"errors":[…]}, {"fault":{"faultstring"}}              gateways
//   {"title","detail","status"}                            RFC 9457
//   {"__type":"…#Name","message"}                          AWS
//   {"base_resp":{"status_code","status_msg"}}             MiniMax; status_code other than 0
//
// Of what is no JSON: the title of a page, or its first words. Invariant: names of members count in
// any case and with or without underscores, and nothing is read deeper than some levels.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/text/json_text.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

struct ErrorBody {
  std::string code, type, message;
  std::string number;               // a code that is a number
  std::vector<std::string> words{}; // that machines read beside code and type: status, reason
  std::string more{};               // metadata, as it is spelled
  std::string place{};              // of the request that it is about: "model"
  std::uint16_t status = 0;         // an HTTP status that the body names
  std::int64_t retry_after_ms = -1; // that the body asks for
  std::optional<OutcomeClass> cls;  // of a provider whose numbers are its own

  // The word for it, of code, type, what else there is and the number; empty = it has none.
  const std::string& name() const;
};

enum class BesideAnswer : std::uint8_t {
  no,  // whatever the body says is about the error
  yes, // only what calls itself an error is one: `error`, an object of that name, `base_resp`
};

// The error that a checked JSON body reports; nothing if it reports none. An `error` of null, false
// or {}, or one in which all is empty, is none.
std::optional<ErrorBody> read_error(json::Value body, BesideAnswer beside);

// Whether such a member is an error: of a choice, for instance.
std::optional<ErrorBody> error_in(json::Value error);

// For people: its message, and the metadata behind it.
std::string described(const ErrorBody& error);

// Of a body that is no JSON: the title of an HTML page, else its first words.
std::string words_of_page(std::string_view text, std::size_t bytes_max);

} // namespace gristmill::openai
