#include "protocol/openai/request/asked.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/request/render.hpp"

#include "protocol/text/json_text.hpp"

#include <algorithm>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

// One text, many of them, or one or many lists of tokens.
std::uint64_t inputs_in(Value input) {
  if (!input.is(Kind::array)) return input.is(Kind::string) ? 1 : 0;
  const auto first = json::Elements{input}.next();
  return first && first->is(Kind::number) ? 1 : json::elements_in(input);
}

// Of `response_format` of a chat, or `text` of the responses API.
bool wants_json(Value format) {
  const std::string type = json::text_of(json::find(format, "type"));
  return type == "json_schema" || type == "json_object";
}

} // namespace

Asked asked_of(const Request& request) {
  Asked asked{api_of(request.path)};
  std::uint64_t choices = 1, prompts = 1;
  json::Members members{json::root(request.body)};
  while (const auto member = members.next()) {
    const Value value = member->value;
    if (member->named("input") && asked.api == Api::embeddings) asked.answers = inputs_in(value);
    if (member->named("n")) choices = std::max<std::uint64_t>(1, json::count_of(value).value_or(1));
    if (member->named("prompt")) prompts = std::max<std::uint64_t>(1, inputs_in(value));
    if (member->named("response_format")) asked.json |= wants_json(value);
    if (member->named("text") && asked.api == Api::responses)
      asked.json |= wants_json(json::find(value, "format"));
  }
  if (asked.api == Api::chat) asked.answers = choices;
  if (asked.api == Api::completions)
    asked.answers = choices * std::min<std::uint64_t>(prompts, 1u << 20);
  return asked;
}

} // namespace gristmill::openai
