#include "protocol/openai/line/joined_body.hpp"

#include "protocol/openai/reply/usage.hpp"

#include <fmt/format.h>

namespace gristmill::openai {

using json::Kind;
using json::Value;

namespace {

Value first_of(std::string_view body, std::string_view list) {
  return json::Elements{json::find(Value{body}, list)}.next().value_or(Value{});
}

// What an answer without words has no tokens of is left out, as servers do.
std::string usage_member(const protocol::Usage& usage, bool of_text) {
  if (!usage.known) return {};
  const std::string completion =
      of_text ? fmt::format(R"("completion_tokens":{},)", usage.completion) : "";
  return fmt::format(R"(,"usage":{{"prompt_tokens":{},{}"total_tokens":{}}})", usage.prompt,
                     completion, usage.prompt + usage.completion);
}

} // namespace

bool is_chat(std::string_view body) {
  return json::find(first_of(body, "choices"), "message").is(Kind::object);
}

bool is_text(std::string_view body) {
  return first_of(body, "choices").is(Kind::object) ||
         json::find(Value{body}, "output").is(Kind::array);
}

Value embedding_in(std::string_view body) {
  return json::find(first_of(body, "data"), "embedding");
}

bool is_vector(std::string_view body) {
  return !embedding_in(body).is(Kind::none);
}

protocol::Usage usage_of_all(PartTexts parts) {
  protocol::Usage all;
  all.known = true;
  for (const PartText& part : parts) {
    const protocol::Usage usage = usage_of(json::find(Value{body_in(part.line)}, "usage"));
    all.known = all.known && usage.known;
    all.prompt += usage.prompt;
    all.completion += usage.completion;
  }
  return all;
}

std::string finish_reason_of(PartTexts parts) {
  for (const PartText& part : parts) {
    std::string reason =
        json::text_of(json::find(first_of(body_in(part.line), "choices"), "finish_reason"));
    if (!reason.empty() && reason != "stop") return reason;
  }
  return "stop";
}

std::string chat_body(std::string_view model, std::string_view text, std::string_view finish_reason,
                      const protocol::Usage& usage) {
  std::string body = R"({"object":"chat.completion","model":)";
  json::append_string(body, model);
  body += R"(,"choices":[{"index":0,"message":{"role":"assistant","content":)";
  json::append_string(body, text);
  json::append_string(body += R"(},"finish_reason":)", finish_reason);
  return body + "}]" + usage_member(usage, true) + "}";
}

std::string vector_body(std::string_view model, std::string_view vector,
                        const protocol::Usage& usage) {
  std::string body = R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":)";
  body += vector;
  json::append_string(body += R"(}],"model":)", model);
  return body + usage_member(usage, false) + "}";
}

std::string list_body(PartTexts parts) {
  std::string body = R"({"object":"list","data":[)";
  for (const PartText& part : parts) {
    if (body.back() != '[') body += ',';
    body += body_in(part.line);
  }
  return body + "]}";
}

} // namespace gristmill::openai
