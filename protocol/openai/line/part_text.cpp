#include "protocol/openai/line/part_text.hpp"

#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::openai {

using json::Kind;
using json::Value;

std::string_view response_in(std::string_view line) {
  return json::find(json::root(line), "response").text;
}

std::string_view body_in(std::string_view line) {
  return json::find(Value{response_in(line)}, "body").text;
}

bool is_chat(std::string_view body) {
  const auto first = json::Elements{json::find(Value{body}, "choices")}.next();
  return first && json::find(*first, "message").is(Kind::object);
}

std::string joined_text(PartTexts parts) {
  std::string text;
  for (const PartText& part : parts) text += answer_text(body_in(part.line));
  return text;
}

std::string joined_body(std::string_view model, PartTexts parts) {
  if (is_chat(body_in(parts.front().line))) {
    std::string body = R"({"object":"chat.completion","model":)";
    json::append_string(body, model);
    body += R"(,"choices":[{"index":0,"message":{"role":"assistant","content":)";
    json::append_string(body, joined_text(parts));
    return body + R"(},"finish_reason":"stop"}]})";
  }
  std::string body = R"({"object":"list","data":[)";
  for (const PartText& part : parts) {
    if (body.back() != '[') body += ',';
    body += body_in(part.line);
  }
  return body + "]}";
}

PartTexts::iterator first_failed(PartTexts parts) {
  return std::find_if(parts.begin(), parts.end(),
                      [](const PartText& part) { return part.cls != OutcomeClass::ok; });
}

std::string Failure::sentence() const {
  return message.empty() ? code : fmt::format("{}: {}", code, message);
}

Failure failure_of(std::string_view line) {
  const Value root = json::root(line);
  Value said = json::find(root, "error");
  if (!said.is(Kind::object)) said = json::find(root, "gristmill");
  std::string code = json::text_of(json::find(said, "code"));
  if (code.empty()) code = json::text_of(json::find(said, "class"));
  return {std::move(code), json::text_of(json::find(said, "message"))};
}

Taken taken_by(PartTexts parts) {
  Taken taken;
  for (const PartText& part : parts) {
    const Value said = json::find(json::root(part.line), "gristmill");
    const auto number = [&](std::string_view name) {
      return json::integer_of(json::find(said, name)).value_or(0);
    };
    taken.attempts += static_cast<std::uint32_t>(number("attempts"));
    taken.latency_ms = std::max(taken.latency_ms, number("latency_ms"));
    if (taken.model.empty()) taken.model = json::text_of(json::find(said, "model"));
    if (taken.endpoint.empty()) taken.endpoint = json::text_of(json::find(said, "endpoint"));
  }
  return taken;
}

} // namespace gristmill::openai
