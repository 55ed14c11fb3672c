#include "protocol/openai/line/joined_line.hpp"

#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

Value body_of(std::string_view line) {
  return json::find(json::find(json::root(line), "response"), "body");
}

bool is_chat(Value body) {
  const auto first = json::Elements{json::find(body, "choices")}.next();
  return first && json::find(*first, "message").is(Kind::object);
}

std::string joined_text(std::span<const PartText> parts) {
  std::string text;
  for (const PartText& part : parts) text += answer_text(body_of(part.line).text);
  return text;
}

std::string joined_chat(std::string_view model, std::span<const PartText> parts) {
  std::string body = R"({"object":"chat.completion","model":)";
  json::append_string(body, model);
  body += R"(,"choices":[{"index":0,"message":{"role":"assistant","content":)";
  json::append_string(body, joined_text(parts));
  return body + R"(},"finish_reason":"stop"}]})";
}

std::string list_of_bodies(std::span<const PartText> parts) {
  std::string body = R"({"object":"list","data":[)";
  for (const PartText& part : parts) {
    if (body.back() != '[') body += ',';
    body += body_of(part.line).text;
  }
  return body + "]}";
}

void add(Provenance& about, std::string_view line) {
  const Value said = json::find(json::root(line), "gristmill");
  const auto number = [&](std::string_view name) {
    return json::integer_of(json::find(said, name)).value_or(0);
  };
  about.attempts += static_cast<std::uint32_t>(number("attempts"));
  about.latency_ms = std::max(about.latency_ms, number("latency_ms"));
  if (about.model.empty()) about.model = json::text_of(json::find(said, "model"));
  if (about.endpoint.empty()) about.endpoint = json::text_of(json::find(said, "endpoint"));
}

// What a part's line says of its failure.
std::string failure_of(std::string_view line) {
  const Value root = json::root(line);
  Value said = json::find(root, "error");
  if (!said.is(Kind::object)) said = json::find(root, "gristmill");
  std::string code = json::text_of(json::find(said, "code"));
  if (code.empty()) code = json::text_of(json::find(said, "class"));
  const std::string message = json::text_of(json::find(said, "message"));
  return message.empty() ? code : fmt::format("{}: {}", code, message);
}

auto first_failed(std::span<const PartText> parts) {
  return std::find_if(parts.begin(), parts.end(),
                      [](const PartText& part) { return part.cls != OutcomeClass::ok; });
}

} // namespace

JoinedLine joined_line(JobId job, std::string_view custom_id, Provenance about,
                       std::span<const PartText> parts) {
  for (const PartText& part : parts) add(about, part.line);
  protocol::Reply reply;
  reply.model = about.model;
  const auto failed = first_failed(parts);
  if (failed != parts.end()) {
    reply.cls = failed->cls;
    reply.code = failed->cls == OutcomeClass::cancelled ? "cancelled" : "part_failed";
    reply.message = fmt::format("part {} of {} failed: {}", failed - parts.begin() + 1,
                                parts.size(), failure_of(failed->line));
  } else {
    reply.cls = OutcomeClass::ok;
    reply.http_status = 200;
    reply.body =
        is_chat(body_of(parts[0].line)) ? joined_chat(reply.model, parts) : list_of_bodies(parts);
  }
  return {reply.cls, failed == parts.end() ? "" : reply.code,
          result_line(job, custom_id, reply, about)};
}

Result<> check_joined_line(std::string_view line, std::span<const PartText> parts) {
  const auto wrong = [](std::string message) {
    return fail(ErrorCode::bad_input, std::move(message));
  };
  const Value root = json::root(line);
  const bool has_failed = json::find(json::find(root, "gristmill"), "class").is(Kind::string);
  const auto failed = first_failed(parts);
  if (has_failed && failed == parts.end() &&
      json::text_of(json::find(json::find(root, "error"), "code")) == "part_failed")
    return wrong(
        fmt::format("expected an answer, as all {} parts have, got a failed part", parts.size()));
  if (has_failed) return {};
  if (failed != parts.end())
    return wrong(fmt::format("expected the failure of part {} of {}, got an answer",
                             failed - parts.begin() + 1, parts.size()));
  if (is_chat(body_of(parts[0].line)) && answer_text(body_of(line).text) != joined_text(parts))
    return wrong(
        fmt::format("expected the texts of its {} parts joined, got another text", parts.size()));
  return {};
}

} // namespace gristmill::openai
