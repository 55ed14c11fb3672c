#include "protocol/openai/line/model_answer.hpp"

#include "protocol/openai/line/chunk_line.hpp"
#include "protocol/openai/line/joined_body.hpp"
#include "protocol/openai/line/pooled_vector.hpp"
#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/part_number.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

Value label_of_part(const PartText& part) {
  return json::find(about_in(part.line), "label");
}

// A label, or null where there is none, stands in each answer to the task `classify`.
bool has_labels(PartTexts parts) {
  return std::ranges::any_of(
      parts, [](const PartText& part) { return !label_of_part(part).is(Kind::none); });
}

bool are_chunks(PartTexts parts) {
  return chunk_in(parts.front().line).has_value();
}

std::vector<std::string> texts_of(PartTexts parts) {
  std::vector<std::string> texts;
  for (const PartText& part : parts) texts.push_back(answer_text(body_in(part.line)));
  return texts;
}

std::string place_of(PartTexts parts, PartTexts::iterator part) {
  const PartNumber number = PartNumber::of(part->number);
  if (number.level > 0 && !number.is_judge())
    return fmt::format("step {} of level {}", number.index + 1, number.level);
  if (const auto chunk = chunk_in(part->line))
    return fmt::format("chunk {} of {}", chunk->number, chunk->of);
  return fmt::format("part {} of {}", part - parts.begin() + 1, chunks_among(parts).size());
}

void fail_with(ModelAnswer& answer, PartTexts parts, PartTexts::iterator failed) {
  answer.failure = {failed->cls, failure_of(failed->line), place_of(parts, failed)};
  const Value response{response_in(failed->line)};
  if (response.is(Kind::object)) answer.response = response.text;
}

std::string response_with(std::string_view body) {
  return fmt::format(R"({{"status_code":200,"request_id":"","body":{}}})", body);
}

void vote(ModelAnswer& answer, PartTexts chunks) {
  Votes votes;
  for (const PartText& part : chunks)
    if (const std::string label = json::text_of(label_of_part(part)); !label.empty())
      votes.add(label, chunk_in(part.line).value_or(ChunkSaid{}).bytes());
  answer.labelled = {votes.label(), votes.json(), votes.tie()};
}

// Chunks whose vectors do not fit together have all been answered, and yet there is no answer.
Result<std::string> pooled(PartTexts chunks) {
  PooledVector vector;
  for (const PartText& part : chunks) {
    const ChunkSaid chunk = chunk_in(part.line).value_or(ChunkSaid{});
    if (const auto added = vector.add(embedding_in(body_in(part.line)), chunk.bytes()); !added)
      return fail(ErrorCode::bad_input,
                  fmt::format("chunk {} of {}: {}", chunk.number, chunk.of, added.error().message));
  }
  return vector.json();
}

void pool(ModelAnswer& answer, PartTexts chunks) {
  auto vector = pooled(chunks);
  if (vector)
    answer.response = response_with(vector_body(answer.taken.model, *vector, usage_of_all(chunks)));
  else
    answer.failure = {
        OutcomeClass::bad_result, {"part_failed", std::move(vector.error().message)}, {}};
}

void join_chunks(ModelAnswer& answer, PartTexts chunks) {
  const std::string_view body = body_in(chunks.front().line);
  const bool labelled = has_labels(chunks);
  if (!labelled && is_vector(body)) return pool(answer, chunks);
  if (labelled) vote(answer, chunks);
  const std::string text = labelled ? answer.labelled.label : in_order(chunks, texts_of(chunks));
  answer.response = response_with(
      labelled || is_text(body)
          ? chat_body(answer.taken.model, text, finish_reason_of(chunks), usage_of_all(chunks))
          : list_body(chunks));
}

void join_parts(ModelAnswer& answer, PartTexts top) {
  const bool chat = is_chat(body_in(top.front().line));
  answer.response = response_with(
      chat ? chat_body(answer.taken.model, in_order(top, texts_of(top)), finish_reason_of(top), {})
           : list_body(top));
}

void take_own(ModelAnswer& answer, const PartText& part) {
  answer.response = response_in(part.line);
  answer.labelled.label = json::text_of(label_of_part(part));
}

} // namespace

std::string ModelFailure::sentence() const {
  return where.empty() ? said.message : fmt::format("{} failed: {}", where, said.sentence());
}

ModelAnswer answer_of(PartTexts parts) {
  ModelAnswer answer;
  const PartTexts top = top_of(parts);
  answer.taken = taken_by(parts);
  answer.chunks = chunk_in(parts.front().line).value_or(ChunkSaid{}).of;
  if (const auto failed = first_failed(parts); failed != parts.end())
    fail_with(answer, parts, failed);
  else if (top.size() == 1)
    take_own(answer, top.front());
  else if (are_chunks(top))
    join_chunks(answer, top);
  else
    join_parts(answer, top);
  if (answer.failure) answer.chunk_answers = chunks_json(parts);
  return answer;
}

std::string text_of_answer(PartTexts parts) {
  const PartTexts top = top_of(parts);
  if (top.size() > 1 && are_chunks(top) && has_labels(top)) return answer_of(parts).labelled.label;
  std::vector<std::string> texts = texts_of(top);
  for (std::string& text : texts) text = without_thoughts(text);
  return in_order(top, texts);
}

std::string_view other_in(Value response, PartTexts parts, const ModelAnswer& answer) {
  if (answer.response.empty()) return response.is(Kind::null) ? "" : "response";
  if (answer.failure || top_of(parts).size() == 1)
    return response.text == answer.response ? "" : "response";
  const std::string_view said = json::find(response, "body").text,
                         expected = json::find(Value{answer.response}, "body").text;
  if (is_text(expected) && answer_text(said) != answer_text(expected)) return "text";
  if (is_vector(expected) && embedding_in(said).text != embedding_in(expected).text)
    return "vector";
  return {};
}

} // namespace gristmill::openai
