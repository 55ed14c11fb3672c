#include "protocol/openai/line/joined_line.hpp"

#include "protocol/openai/line/model_answers.hpp"
#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace gristmill::openai {
namespace {

protocol::Reply failure_of_chunks(PartTexts parts) {
  const auto failed = first_failed(parts);
  protocol::Reply reply;
  reply.cls = failed->cls;
  reply.code = failed->cls == OutcomeClass::cancelled ? "cancelled" : "part_failed";
  reply.message = fmt::format("part {} of {} failed: {}", failed - parts.begin() + 1, parts.size(),
                              failure_of(failed->line).sentence());
  return reply;
}

Result<> check_chunks(std::string_view line, PartTexts parts) {
  const json::Value root = json::root(line);
  const bool has_failed = json::find(json::find(root, "gristmill"), "class").is(json::Kind::string);
  const auto failed = first_failed(parts);
  if (has_failed && failed == parts.end() &&
      json::text_of(json::find(json::find(root, "error"), "code")) == "part_failed")
    return fail(
        ErrorCode::bad_input,
        fmt::format("expected an answer, as all {} parts have, got a failed part", parts.size()));
  if (has_failed) return {};
  if (failed != parts.end())
    return fail(ErrorCode::bad_input,
                fmt::format("expected the failure of part {} of {}, got an answer",
                            failed - parts.begin() + 1, parts.size()));
  if (is_chat(body_in(parts[0].line)) && answer_text(body_in(line)) != joined_text(parts))
    return fail(
        ErrorCode::bad_input,
        fmt::format("expected the texts of its {} parts joined, got another text", parts.size()));
  return {};
}

} // namespace

JoinedLine joined_line(JobId job, std::string_view custom_id, Provenance about, PartTexts parts) {
  const bool several = are_of_several(parts);
  const Taken all = taken_by(parts), first = several ? taken_by(of_first_model(parts)) : all;
  about.attempts += all.attempts;
  about.latency_ms = std::max(about.latency_ms, all.latency_ms);
  if (about.model.empty()) about.model = first.model;
  if (about.endpoint.empty()) about.endpoint = first.endpoint;
  protocol::Reply reply;
  if (first_failed(parts) != parts.end()) {
    reply = several ? failure_of_models(parts) : failure_of_chunks(parts);
  } else {
    reply.cls = OutcomeClass::ok;
    reply.http_status = 200;
    if (!several) reply.body = joined_body(about.model, parts);
  }
  reply.model = about.model;
  if (several) {
    Judged of_models = judged(parts);
    about.models = std::move(of_models.answers);
    about.label = std::move(of_models.label);
  }
  std::string line = result_line(job, custom_id, reply, about);
  return {reply.cls, std::move(reply.code), std::move(reply.message), std::move(line)};
}

Result<> check_joined_line(std::string_view line, PartTexts parts) {
  return are_of_several(parts) ? check_model_answers(line, parts) : check_chunks(line, parts);
}

} // namespace gristmill::openai
