#include "protocol/openai/line/joined_line.hpp"

#include "protocol/openai/line/chunk_line.hpp"
#include "protocol/openai/line/model_answer.hpp"
#include "protocol/openai/line/model_answers.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

constexpr std::string_view parts_stand =
    "; what its parts answered stands in parts-*.jsonl in the job's folder of the state directory "
    "(`gristmill results JOB --parts` prints it)";
constexpr std::string_view part_failed = "part_failed", result_too_long = "result_too_long";

void label(Provenance& about, Labelled labelled) {
  about.label = std::move(labelled.label);
  about.votes = std::move(labelled.votes);
  about.tie = labelled.tie;
}

protocol::Reply failure_reply(const ModelFailure& failure) {
  protocol::Reply reply;
  reply.cls = failure.cls;
  reply.code = failure.cls == OutcomeClass::cancelled ? "cancelled" : part_failed;
  reply.message = failure.sentence();
  return reply;
}

// An answer's response, taken apart, as result_line puts it together.
protocol::Reply reply_with(Value response) {
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = static_cast<std::uint16_t>(
      json::integer_of(json::find(response, "status_code")).value_or(200));
  reply.request_id = json::text_of(json::find(response, "request_id"));
  reply.body = json::find(response, "body").text;
  return reply;
}

protocol::Reply of_one(PartTexts parts, Provenance& about) {
  ModelAnswer answer = answer_of(parts);
  label(about, std::move(answer.labelled));
  about.chunks = answer.chunks;
  about.parts = std::move(answer.chunk_answers);
  return answer.failure ? failure_reply(*answer.failure) : reply_with({answer.response});
}

protocol::Reply of_several(PartTexts parts, Provenance& about) {
  Judged all = judged(parts);
  label(about, std::move(all.labelled));
  about.chunks = all.chunks;
  about.models = std::move(all.answers);
  if (all.failure) return std::move(*all.failure);
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  return reply;
}

// Why an item has failed is worth more than what its chunks answered.
void shorten(protocol::Reply& reply, Provenance& about, std::size_t bytes,
             std::uint64_t bytes_max) {
  about.models.reset();
  about.parts.clear();
  if (reply.cls == OutcomeClass::ok) {
    reply = {};
    reply.cls = OutcomeClass::bad_result;
    reply.code = result_too_long;
    reply.message = fmt::format("expected a line of at most {} bytes, got {}", bytes_max, bytes);
    reply.model = about.model;
  }
  reply.message += parts_stand;
}

std::string code_in(Value root) {
  return json::text_of(json::find(json::find(root, "error"), "code"));
}

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::bad_input, std::move(message));
}

bool is_shortened(Value root) {
  const Value error = json::find(root, "error");
  return json::text_of(json::find(error, "message")).ends_with(parts_stand);
}

// Nothing of what the parts answered stands in it.
Result<> check_shortened(Value root, PartTexts parts) {
  const std::string code = code_in(root);
  bool answered = true;
  for (const PartTexts& of_model : by_model(parts)) {
    answered = answered && answer_of(of_model).is_answered();
    if (auto checked = check_tiling(of_model); code == result_too_long && !checked) return checked;
  }
  if (answered != (code == result_too_long))
    return wrong(fmt::format("expected {}, got {}",
                             answered ? "an answer, as all parts have" : "the failure of a part",
                             code));
  return {};
}

// Of a failed item: that it may have failed, and what its chunks answered.
Result<> check_failure(Value root, PartTexts parts, const ModelAnswer& answer) {
  const Value said = json::find(json::find(root, "gristmill"), "parts");
  const bool of_part = code_in(root) == part_failed;
  if (!answer.failure && of_part)
    return wrong(
        fmt::format("expected an answer, as all {} parts have, got a failed part", parts.size()));
  if ((of_part || !said.is(Kind::none)) && said.text != answer.chunk_answers)
    return wrong("expected the answers of its chunks, got others");
  return {};
}

Result<> check_answer(Value root, PartTexts parts, const ModelAnswer& answer) {
  const Value about = json::find(root, "gristmill");
  if (answer.failure)
    return wrong(
        fmt::format("expected the failure of {}, got an answer",
                    answer.failure->where.empty() ? "its chunks together" : answer.failure->where));
  if (auto checked = check_tiling(parts); !checked) return checked;
  if (json::integer_of(json::find(about, "chunks")).value_or(0) != answer.chunks)
    return wrong(fmt::format("expected {} chunks, got another number", answer.chunks));
  if (!answer.labelled.stands_in(about))
    return wrong("expected the label that its chunks give, got another one");
  const std::string_view other = other_in(json::find(root, "response"), parts, answer);
  if (other == "response") return wrong("expected the response of its last part, got another one");
  if (!other.empty())
    return wrong(fmt::format("expected the {}s of its {} parts joined, got another {}", other,
                             top_of(parts).size(), other));
  return {};
}

} // namespace

JoinedLine joined_line(JobId job, std::string_view custom_id, Provenance about, PartTexts parts,
                       std::uint64_t line_bytes_max) {
  const Taken all = taken_by(parts), first = taken_by(by_model(parts).front());
  about.attempts += all.attempts;
  about.cached = all.cached;
  about.latency_ms = std::max(about.latency_ms, all.latency_ms);
  if (about.model.empty()) about.model = first.model;
  if (about.endpoint.empty()) about.endpoint = first.endpoint;
  protocol::Reply reply = are_of_several(parts) ? of_several(parts, about) : of_one(parts, about);
  reply.model = about.model;
  std::string line = result_line(job, custom_id, reply, about);
  if (line.size() > line_bytes_max) {
    shorten(reply, about, line.size(), line_bytes_max);
    line = result_line(job, custom_id, reply, about);
  }
  return {reply.cls, std::move(reply.code), std::move(reply.message), std::move(line)};
}

Result<> check_whole(PartTexts parts) {
  if (first_failed(parts) != parts.end()) return {};
  for (const PartTexts& of_model : by_model(parts)) GRISTMILL_TRY(check_tiling(of_model));
  return {};
}

Result<> check_joined_line(std::string_view line, PartTexts parts) {
  const Value root = json::root(line);
  const bool has_failed = json::find(json::find(root, "gristmill"), "class").is(Kind::string);
  if (has_failed && is_shortened(root)) return check_shortened(root, parts);
  if (are_of_several(parts)) return check_model_answers(line, parts);
  const ModelAnswer answer = answer_of(parts);
  return has_failed ? check_failure(root, parts, answer) : check_answer(root, parts, answer);
}

} // namespace gristmill::openai
