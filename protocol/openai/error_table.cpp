#include "protocol/openai/error_table.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace gristmill::openai {
namespace {

using enum OutcomeClass;
using json::Kind;
using json::Value;

// A word in `code` or `type` decides before the status does, where the status is in the range.
struct WordRow {
  std::string_view word;
  std::uint16_t low, high;
  OutcomeClass cls;
};
constexpr std::array<WordRow, 14> words{{
    {"insufficient_quota", 400, 499, quota},
    {"credit_balance_exhausted", 400, 499, quota},
    {"organization_spend_limit_exceeded", 400, 499, quota},
    {"project_spend_limit_exceeded", 400, 499, quota},
    {"organization_usage_limit_exceeded", 400, 499, quota},
    {"enforced_spend_limit_reached", 400, 499, quota},
    {"slow_down", 429, 503, ramp},
    {"rate_limit_exceeded", 429, 429, rate},
    {"server_is_overloaded", 500, 599, overload},
    {"overloaded_error", 500, 599, overload},
    {"context_length_exceeded", 400, 499, too_long},
    {"request_too_large", 400, 413, too_long},
    {"content_filter", 400, 499, policy},
    {"model_not_found", 400, 499, config},
}};

// Providers that answer 200 and put a number of their own into base_resp.status_code.
struct NumberRow {
  std::uint64_t number;
  OutcomeClass cls;
};
constexpr std::array<NumberRow, 9> base_resp_numbers{{
    {1002, rate},
    {1039, rate},
    {1041, rate},
    {1008, quota},
    {1004, config},
    {2049, config},
    {1026, policy},
    {1027, policy},
    {2013, bad_line},
}};

OutcomeClass class_of_status(std::uint16_t status) {
  switch (status) {
  case 402: return quota;
  case 408:
  case 409: return transient;
  case 401:
  case 403:
  case 404:
  case 405: return config;
  case 413: return too_big;
  case 429: return rate;
  case 529: return overload;
  default: break;
  }
  if (status >= 300 && status < 400) return config; // a redirection is never followed
  if (status >= 400 && status < 500) return bad_line;
  return transient;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// A pack of embedding inputs that is too big as a whole; its code stands among other words.
bool is_too_big_pack(const ErrorBody& error) {
  constexpr std::string_view word = "max_tokens_per_request";
  return error.code == word || error.type == word ||
         has(error.message, "max 300000 tokens per request") ||
         has(error.message, "maximum request size");
}

// A call that is larger than the whole limit is refused like one that came too soon, for ever.
bool never_fits(std::uint16_t status, const ErrorBody& error) {
  return status == 429 && has(error.message, "Request too large");
}

std::optional<OutcomeClass> class_of_words(Api api, std::uint16_t status, const ErrorBody& error) {
  if (never_fits(status, error)) return too_long;
  for (const WordRow& row : words) {
    const bool applies = status == 0 || (status >= row.low && status <= row.high);
    if (applies && (error.code == row.word || error.type == row.word)) return row.cls;
  }
  if (status != 0 && status != 400) return std::nullopt;
  if (error.inner_code == "ResponsibleAIPolicyViolation") return policy;
  if (has(error.message, "maximum context length")) return too_long;
  if (api == Api::embeddings && is_too_big_pack(error)) return too_big;
  return std::nullopt;
}

// A code may be a string or a number.
std::string word_of(Value value) {
  return value.is(Kind::number) ? std::string{value.text} : json::text_of(value);
}

void read_members(Value object, ErrorBody& error) {
  json::Members members{object};
  while (const auto member = members.next()) {
    if (member->named("code")) {
      error.code = word_of(member->value);
      const auto status = json::integer_of(member->value);
      if (status && *status >= 400 && *status < 600)
        error.status = static_cast<std::uint16_t>(*status);
    }
    if (member->named("type")) error.type = json::text_of(member->value);
    if (member->named("message")) error.message = json::text_of(member->value);
    if (member->named("innererror"))
      error.inner_code = json::text_of(json::find(member->value, "code"));
  }
}

std::optional<ErrorBody> read_base_resp(Value base_resp) {
  const Value status = json::find(base_resp, "status_code");
  if (!status.is(Kind::number) || status.text == "0") return std::nullopt;
  ErrorBody error;
  error.code = status.text;
  error.message = json::text_of(json::find(base_resp, "status_msg"));
  error.cls = transient;
  for (const NumberRow& row : base_resp_numbers)
    if (json::integer_of(status) == row.number) error.cls = row.cls;
  return error;
}

} // namespace

std::optional<ErrorBody> read_error(Value body) {
  Value reported, object, base_resp;
  json::Members members{body};
  while (const auto member = members.next()) {
    if (member->named("error")) reported = member->value;
    if (member->named("object")) object = member->value;
    if (member->named("base_resp")) base_resp = member->value;
  }
  ErrorBody error;
  if (reported.is(Kind::object) && json::Members{reported}.next()) {
    read_members(reported, error);
    return error;
  }
  if (reported.is(Kind::string)) {
    error.message = json::text_of(reported);
    if (!error.message.empty()) return error;
  }
  if (json::text_of(object) == "error") {
    read_members(body, error);
    return error;
  }
  return read_base_resp(base_resp);
}

Verdict classify(Api api, std::uint16_t status, const ErrorBody& error) {
  if (const auto cls = class_of_words(api, status, error)) return {*cls, false};
  if (error.cls) return {*error.cls, false};
  // 402, 429 and 529 are said by intent; the server's header does not overrule them.
  const std::uint16_t said = status != 0 ? status : error.status;
  const bool intended = said == 402 || said == 429 || said == 529;
  return {class_of_status(said), !intended};
}

bool names_tokens(const ErrorBody& error) {
  constexpr std::array<std::string_view, 3> phrases{"tokens per ", "(tpm)", "token rate limit"};
  if (error.type == "tokens" || error.code == "tokens") return true;
  std::string message = error.message;
  for (char& c : message)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::any_of(phrases.begin(), phrases.end(),
                     [&](std::string_view phrase) { return has(message, phrase); });
}

} // namespace gristmill::openai
