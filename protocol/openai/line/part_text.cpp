#include "protocol/openai/line/part_text.hpp"

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

Value about_in(std::string_view line) {
  return json::find(json::root(line), "gristmill");
}

PartTexts::iterator first_failed(PartTexts parts) {
  return std::find_if(parts.begin(), parts.end(),
                      [](const PartText& part) { return part.cls != OutcomeClass::ok; });
}

std::string Failure::sentence() const {
  return message.empty() ? code : fmt::format("{}: {}", code, message);
}

std::string Failure::json() const {
  std::string out = R"({"code":)";
  json::append_string(out, code);
  json::append_string(out += R"(,"message":)", message);
  return out + "}";
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
    const Value said = about_in(part.line);
    const auto number = [&](std::string_view name) {
      return json::integer_of(json::find(said, name)).value_or(0);
    };
    taken.attempts += static_cast<std::uint32_t>(number("attempts"));
    taken.latency_ms = std::max(taken.latency_ms, number("latency_ms"));
    taken.cached &= json::find(said, "cached").text == "true";
    if (taken.model.empty()) taken.model = json::text_of(json::find(said, "model"));
    if (taken.endpoint.empty()) taken.endpoint = json::text_of(json::find(said, "endpoint"));
  }
  return taken;
}

} // namespace gristmill::openai
