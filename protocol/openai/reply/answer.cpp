#include "protocol/openai/reply/answer.hpp"
#include "protocol/openai/api.hpp"

#include "protocol/openai/errors/table.hpp"
#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/openai/schema/answer_schema.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <vector>

namespace gristmill::openai {
namespace {

using enum OutcomeClass;
using json::Kind;
using json::Value;

constexpr std::size_t code_bytes_max = 64;

// What ends an answer that is none. Sources: DeepSeek (insufficient_system_resource), OpenRouter
// (error), Zhipu (sensitive, network_error), vLLM and SGLang (abort), Gemini (SAFETY and its kin),
// Bedrock (guardrail_intervened), OpenAI and Azure (content_filter).
struct FinishRow {
  std::string_view reason; // begins it
  OutcomeClass cls;
};
constexpr std::array<FinishRow, 13> finishes{{
    {"error", transient},
    {"network_error", transient},
    {"abort", transient},
    {"insufficient_system_resource", overload},
    {"content_filter", policy},
    {"sensitive", policy},
    {"safety", policy},
    {"recitation", policy},
    {"prohibited_content", policy},
    {"blocklist", policy},
    {"spii", policy},
    {"guardrail_intervened", policy},
    {"refusal", policy},
}};

const FinishRow* row_of_finish(std::string_view reason) {
  const std::string small = json::small_letters(reason);
  const auto row = std::find_if(finishes.begin(), finishes.end(), [&](const FinishRow& known) {
    return small.starts_with(known.reason);
  });
  return row == finishes.end() ? nullptr : &*row;
}

bool has_elements(Value array) {
  return json::Elements{array}.next().has_value();
}

bool is_loading(Value body) {
  constexpr std::array<std::string_view, 4> words{"loading", "starting", "initializing",
                                                  "not_ready"};
  const std::string status = json::small_letters(json::text_of(json::find(body, "status")));
  return std::find(words.begin(), words.end(), status) != words.end();
}

// `member`: where the answer should be. Where there is none somebody else answers, or in another
// API; where it is empty the server may do better the next time.
AnswerFault lacks(std::string_view what, Value body, Value member) {
  const bool absent = member.is(Kind::none) && json::Members{body}.next().has_value();
  const bool empty = member.is(Kind::none) || member.is(Kind::null) ||
                     (member.is(Kind::array) && !has_elements(member));
  return {is_loading(body) ? unavailable
          : absent         ? config
          : empty          ? transient
                           : malformed,
          "bad_reply",
          fmt::format("expected an answer with {}, got: {}", what, sample_of(body.text))};
}

// Numbers, or base64. A server that computes no numbers writes null for them.
bool is_filled(Value embedding) {
  if (embedding.is(Kind::string)) return embedding.text.size() > 2;
  json::Elements numbers{embedding};
  std::size_t count = 0;
  for (; const auto number = numbers.next(); ++count)
    if (!number->is(Kind::number)) return false;
  return count > 0;
}

bool has_null(Value embedding) {
  const auto first = json::Elements{embedding}.next();
  return first && first->is(Kind::null);
}

// From 0 on, or from 1; or all the same, as of servers that do not number: then the order counts.
bool is_numbering(std::vector<std::uint64_t> indices) {
  std::sort(indices.begin(), indices.end());
  const std::uint64_t first = indices.front();
  if (first == indices.back()) return true;
  for (std::size_t n = 0; n < indices.size(); ++n)
    if (indices[n] != first + n) return false;
  return first <= 1;
}

// Nothing = each input has one.
std::optional<AnswerFault> fault_of_embeddings(const Asked& asked, Value body) {
  constexpr std::string_view what = "data with one embedding for each input";
  const Value data = json::find(body, "data");
  if (!has_elements(data)) return lacks(what, body, data);
  std::vector<std::uint64_t> indices;
  json::Elements elements{data};
  while (const auto element = elements.next()) {
    Value index, embedding;
    json::Members members{*element};
    while (const auto member = members.next()) {
      if (member->named("index")) index = member->value;
      if (member->named("embedding")) embedding = member->value;
    }
    if (has_null(embedding))
      return AnswerFault{
          transient, "not_finite",
          fmt::format("expected embeddings of numbers, got null: {}", sample_of(embedding.text))};
    if (!is_filled(embedding)) return lacks(what, body, data);
    indices.push_back(json::count_of(index).value_or(indices.size()));
  }
  if (asked.answers != 0 && indices.size() != asked.answers)
    return AnswerFault{malformed, "wrong_count",
                       fmt::format("expected {} embeddings, one for each input, got {}",
                                   asked.answers, indices.size())};
  if (!is_numbering(std::move(indices))) return lacks(what, body, data);
  return std::nullopt;
}

std::optional<AnswerFault> fault_of_choices(Api api, Value body) {
  const bool chat = api == Api::chat;
  const std::string_view what = chat ? "choices[0].message" : "choices[0].text";
  const Value choices = json::find(body, "choices");
  const auto choice = json::Elements{choices}.next();
  if (!choice) return lacks(what, body, choices);
  const Value said = json::find(*choice, chat ? "message" : "text");
  // A choice that failed may have nothing else in it.
  if (said.is(chat ? Kind::object : Kind::string) || error_in(json::find(*choice, "error")) ||
      row_of_finish(finish_reason_of(*choice)) != nullptr)
    return std::nullopt;
  return lacks(what, body, choices);
}

AnswerFault fault_of_error(Api api, const ErrorBody& error) {
  const std::string code = json::printable(error.name(), code_bytes_max);
  return {classify(api, 0, error).cls, code.empty() ? "error" : code, described(error),
          error.retry_after_ms};
}

// What a choice says of its end; nothing = it is an answer.
std::optional<AnswerFault> fault_of_choice(const Asked& asked, Value choice) {
  const std::string reason = finish_reason_of(choice);
  const FinishRow* row = row_of_finish(reason);
  if (const auto error = error_in(json::find(choice, "error"))) {
    AnswerFault fault = fault_of_error(asked.api, *error);
    if (!fault.message.empty()) return fault;
  }
  if (row == nullptr) return std::nullopt;
  const std::string said = asked.api == Api::chat ? text_of_message(json::find(choice, "message"))
                                                  : json::text_of(json::find(choice, "text"));
  const std::string shown = json::printable(reason, code_bytes_max);
  return AnswerFault{row->cls, row->cls == transient ? "finish_" + shown : shown,
                     fmt::format("expected a whole answer, got one that ended with finish_reason "
                                 "{} after: \"{}\"",
                                 shown, sample_of(said))};
}

std::optional<AnswerFault> fault_of_schema(const AnswerSchema& schema, std::string_view said) {
  const auto misfit = schema.check(said);
  if (!misfit) return std::nullopt;
  const std::string at =
      misfit->pointer.empty() ? "the root" : json::printable(misfit->pointer, 200);
  return AnswerFault{
      bad_result, "schema_mismatch",
      fmt::format("expected an answer that fits the schema, got at {}: {}", at, misfit->sentence),
      -1, true};
}

// Nothing = the text is JSON that fits the schema, if there is one; or the answer is a call of a
// tool.
std::optional<AnswerFault> fault_of_json(std::string_view text, bool cut, bool other_answer,
                                         const AnswerSchema* schema) {
  const std::string without = without_thoughts(text);
  const std::string_view said = without_fence(without);
  if (cut)
    return AnswerFault{bad_result, "cut_answer",
                       fmt::format("expected an answer in JSON, got one that was cut by its limit "
                                   "of tokens (finish_reason length) after: \"{}\"; raise "
                                   "--max-tokens",
                                   sample_of(said))};
  if (other_answer) return std::nullopt;
  if (json::check(said)) return schema == nullptr ? std::nullopt : fault_of_schema(*schema, said);
  return AnswerFault{bad_result, "no_json",
                     said.empty()
                         ? fmt::format("expected an answer in JSON, got {}",
                                       text.empty() ? "an empty one" : "thoughts without an answer")
                         : fmt::format("expected an answer in JSON, got \"{}\"", sample_of(said)),
                     -1, schema != nullptr};
}

AnswerFault refused(std::string_view refusal) {
  return {policy, "refusal", fmt::format("the model refuses: {}", sample_of(refusal))};
}

std::optional<AnswerFault> content_fault_of_choices(const Asked& asked, Value body) {
  std::uint64_t count = 0, filtered = 0;
  std::optional<AnswerFault> filter, no_json;
  json::Elements choices{json::find(body, "choices")};
  while (const auto choice = choices.next()) {
    ++count;
    if (auto fault = fault_of_choice(asked, *choice)) {
      if (fault->cls != policy) return fault;
      ++filtered;
      filter = std::move(fault);
    } else if (asked.json && asked.api == Api::chat && !no_json) {
      const Value message = json::find(*choice, "message");
      const std::string text = text_of_message(message);
      const std::string refusal = json::text_of(json::find(message, "refusal"));
      if (text.empty() && !refusal.empty()) return refused(refusal);
      no_json = fault_of_json(text, is_cut(finish_reason_of(*choice)),
                              has_elements(json::find(message, "tool_calls")), asked.schema.get());
    }
  }
  if (filtered == count) return filter;
  if (count < asked.answers)
    return AnswerFault{malformed, "wrong_count",
                       fmt::format("expected {} choices, got {}", asked.answers, count)};
  return no_json;
}

// The responses API says it in a status.
std::optional<AnswerFault> content_fault_of_response(const Asked& asked, Value body) {
  const std::string status = json::text_of(json::find(body, "status"));
  const std::string why =
      json::text_of(json::find(json::find(body, "incomplete_details"), "reason"));
  const auto fault = [&](OutcomeClass cls, std::string code) {
    return AnswerFault{cls, std::move(code),
                       fmt::format("expected a completed response, got the status \"{}\"{}",
                                   json::printable(status, code_bytes_max),
                                   why.empty() ? "" : ", reason " + json::printable(why, 64))};
  };
  if (status == "failed" || status == "cancelled") return fault(transient, "response_" + status);
  if (status == "queued" || status == "in_progress") return fault(malformed, "response_" + status);
  if (status == "incomplete" && row_of_finish(why) != nullptr)
    return fault(row_of_finish(why)->cls, json::printable(why, code_bytes_max));
  if (!asked.json) return std::nullopt;
  std::string text;
  bool other = false;
  json::Elements items{json::find(body, "output")};
  while (const auto item = items.next()) {
    const std::string type = json::text_of(json::find(*item, "type"));
    if (type == "message")
      text += text_of_message(*item);
    else if (type != "reasoning")
      other = true;
  }
  return fault_of_json(text, status == "incomplete", other, asked.schema.get());
}

} // namespace

std::string sample_of(std::string_view text) {
  return json::printable(text, sample_bytes);
}

std::string finish_reason_of(Value choice) {
  return json::text_of(json::find(choice, "finish_reason"));
}

bool is_cut(std::string_view finish_reason) {
  constexpr std::array<std::string_view, 7> reasons{"length",
                                                    "max_tokens",
                                                    "max_output_tokens",
                                                    "max_completion_tokens",
                                                    "model_length",
                                                    "token_limit",
                                                    "model_context_window_exceeded"};
  const std::string small = json::small_letters(finish_reason);
  return std::find(reasons.begin(), reasons.end(), small) != reasons.end();
}

std::optional<AnswerFault> form_fault(const Asked& asked, Value body) {
  switch (asked.api) {
  case Api::chat:
  case Api::completions: return fault_of_choices(asked.api, body);
  case Api::embeddings: return fault_of_embeddings(asked, body);
  case Api::responses: {
    const Value output = json::find(body, "output");
    if (output.is(Kind::array)) return std::nullopt;
    return lacks("output", body, output);
  }
  case Api::other:
    if (body.is(Kind::object) || body.is(Kind::array)) return std::nullopt;
    return lacks("an object or an array", body, body);
  }
  return std::nullopt;
}

std::optional<AnswerFault> content_fault(const Asked& asked, Value body) {
  switch (asked.api) {
  case Api::chat:
  case Api::completions: return content_fault_of_choices(asked, body);
  case Api::responses: return content_fault_of_response(asked, body);
  case Api::embeddings:
  case Api::other: break;
  }
  return std::nullopt;
}

} // namespace gristmill::openai
