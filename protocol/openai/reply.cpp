#include "protocol/limits.hpp"
#include "protocol/openai/error_table.hpp"
#include "protocol/openai/json_text.hpp"
#include "protocol/openai/limit_headers.hpp"
#include "protocol/openai/reply_headers.hpp"
#include "protocol/openai/wire.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

namespace gristmill::openai {
namespace {

using enum OutcomeClass;
using json::Kind;
using json::Value;

constexpr std::size_t message_bytes_max = 2 * limits::kib, sample_bytes = 200;
static_assert(message_bytes_max <= limits::text_bytes_max);

// A call that used more tokens than this is not believed.
constexpr std::uint64_t believable_tokens = 1'000'000'000;

// The members of an answer that somebody reads.
struct Answer {
  Value model, usage, choices, output, data;
};

Answer answer_of(Value body) {
  Answer answer;
  json::Members members{body};
  while (const auto member = members.next()) {
    if (member->named("model")) answer.model = member->value;
    if (member->named("usage")) answer.usage = member->value;
    if (member->named("choices")) answer.choices = member->value;
    if (member->named("output")) answer.output = member->value;
    if (member->named("data")) answer.data = member->value;
  }
  return answer;
}

std::optional<std::uint64_t> tokens_of(Value value) {
  const auto tokens = json::integer_of(value);
  return tokens && *tokens <= believable_tokens ? tokens : std::nullopt;
}

// Chat says prompt and completion, the responses API says input and output.
protocol::Usage usage_of(Value usage) {
  std::optional<std::uint64_t> prompt, completion, total;
  std::uint64_t cached = 0, reasoning = 0;
  json::Members members{usage};
  while (const auto member = members.next()) {
    const auto one_of = [&](std::string_view chat, std::string_view responses) {
      return member->named(chat) || member->named(responses);
    };
    if (one_of("prompt_tokens", "input_tokens")) prompt = tokens_of(member->value);
    if (one_of("completion_tokens", "output_tokens")) completion = tokens_of(member->value);
    if (member->named("total_tokens")) total = tokens_of(member->value);
    if (one_of("prompt_tokens_details", "input_tokens_details"))
      cached = tokens_of(json::find(member->value, "cached_tokens")).value_or(0);
    if (one_of("completion_tokens_details", "output_tokens_details"))
      reasoning = tokens_of(json::find(member->value, "reasoning_tokens")).value_or(0);
  }
  protocol::Usage read;
  if (!prompt && !total) return read;
  read.known = true;
  read.prompt = prompt ? *prompt : *total - std::min(*total, completion.value_or(0));
  const std::uint64_t sum = total.value_or(read.prompt);
  read.completion = completion.value_or(sum - std::min(sum, read.prompt));
  read.cached = std::min(cached, read.prompt);
  read.reasoning = std::min(reasoning, read.completion);
  return read;
}

bool has_every_embedding(Value data) {
  std::vector<std::uint64_t> indices;
  json::Elements elements{data};
  while (const auto element = elements.next()) {
    Value index, embedding;
    json::Members members{*element};
    while (const auto member = members.next()) {
      if (member->named("index")) index = member->value;
      if (member->named("embedding")) embedding = member->value;
    }
    const bool filled = embedding.is(Kind::string) ? embedding.text.size() > 2
                                                   : json::Elements{embedding}.next().has_value();
    if (!filled) return false;
    indices.push_back(json::integer_of(index).value_or(indices.size()));
  }
  std::vector<bool> seen(indices.size());
  for (const std::uint64_t index : indices) {
    if (index >= seen.size() || seen[index]) return false;
    seen[index] = true;
  }
  return !seen.empty();
}

// What an answer of its kind must have and this one lacks; empty = it is one.
std::string_view missing(Api api, Value body, const Answer& answer) {
  const auto first_choice = [&] { return json::Elements{answer.choices}.next().value_or(Value{}); };
  switch (api) {
  case Api::chat:
    return json::find(first_choice(), "message").is(Kind::object) ? "" : "choices[0].message";
  case Api::completions:
    return json::find(first_choice(), "text").is(Kind::string) ? "" : "choices[0].text";
  case Api::responses: return answer.output.is(Kind::array) ? "" : "output";
  case Api::embeddings:
    return has_every_embedding(answer.data) ? "" : "data with one embedding for each index";
  case Api::other:
    return body.is(Kind::object) || body.is(Kind::array) ? "" : "an object or an array";
  }
  return "an answer";
}

std::string sample_of(std::string_view body) {
  return json::printable(body, sample_bytes);
}

// Fills what an error says of itself, within what a frame takes.
void tell(Reply& reply, const ErrorBody& error, std::uint16_t status) {
  const std::string& code = error.code.empty() ? error.type : error.code;
  reply.code = json::printable(code, limits::name_bytes_max);
  if (reply.code.empty()) reply.code = fmt::format("http_{}", status);
  reply.message = json::printable(error.message, message_bytes_max);
  reply.tokens_refused = (reply.cls == rate || reply.cls == ramp) && names_tokens(error);
}

// A status of success: the whole body must be an answer of its kind.
void judge_answer(Reply& reply, Api api, std::uint16_t status, std::string_view text) {
  reply.cls = transient;
  if (const auto checked = json::check(text); !checked) {
    reply.code = "bad_json";
    reply.message = text.empty() ? "expected an answer in JSON, got an empty body"
                                 : fmt::format("expected an answer in JSON: {}; it begins: {}",
                                               checked.error().message, sample_of(text));
    return;
  }
  const Value body = json::root(text);
  const Answer answer = answer_of(body);
  reply.usage = usage_of(answer.usage);
  reply.model = json::printable(json::text_of(answer.model), limits::name_bytes_max);
  const std::string_view lacks = missing(api, body, answer);
  if (const auto error = read_error(body)) {
    reply.cls = classify(api, 0, *error).cls;
    tell(reply, *error, status);
    if (reply.message.empty()) reply.message = sample_of(text);
  } else if (!lacks.empty()) {
    reply.code = "bad_reply";
    reply.message = fmt::format("expected an answer with {}, got: {}", lacks, sample_of(text));
  } else {
    reply.cls = ok;
    reply.body = json::minified(text);
  }
}

void judge_error(Reply& reply, Api api, std::uint16_t status, std::string_view text,
                 std::optional<bool> should_retry) {
  ErrorBody error;
  const bool is_json = json::check(text).has_value();
  if (is_json) {
    const Value body = json::root(text);
    if (auto read = read_error(body)) error = std::move(*read);
    reply.usage = usage_of(json::find(body, "usage"));
    reply.body = json::minified(text);
  }
  const Verdict verdict = classify(api, status, error);
  reply.cls = verdict.cls;
  if (verdict.by_status && should_retry && *should_retry != info(verdict.cls).retryable)
    reply.cls = *should_retry ? transient : bad_line;
  tell(reply, error, status);
  if (reply.message.empty()) reply.message = sample_of(text);
  if (reply.message.empty()) reply.message = fmt::format("HTTP {} without a body", status);
}

} // namespace

void judge_body(protocol::Outcome& outcome) {
  const bool is_ok = outcome.cls == ok;
  if (!is_ok && outcome.body.empty()) return;
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
  const bool success = outcome.http_status >= 200 && outcome.http_status < 300;
  const auto checked = json::check(outcome.body);
  if (checked && (success || !is_ok)) {
    // What is left of them in a checked document is space.
    if (std::any_of(outcome.body.begin(), outcome.body.end(), is_control))
      outcome.body = json::minified(outcome.body);
    return;
  }
  if (is_ok) {
    outcome.cls = transient;
    outcome.code = "bad_json";
    outcome.message = checked
                          ? fmt::format("expected an answer with a status of success, got HTTP {}",
                                        outcome.http_status)
                          : fmt::format("expected an answer in JSON: {}", checked.error().message);
  }
  outcome.body.clear();
}

Reply read_reply(Api api, std::uint16_t http_status, const Headers& headers, std::string_view body,
                 std::int64_t unix_now) {
  Reply reply;
  ReplyHeaders read = read_headers(headers, unix_now);
  reply.request_id = std::move(read.request_id);
  reply.limits = read_limits(headers, unix_now);
  if (http_status >= 200 && http_status < 300) {
    judge_answer(reply, api, http_status, body);
  } else {
    judge_error(reply, api, http_status, body, read.should_retry);
  }
  if (reply.cls != ok) reply.retry_after_ms = read.retry_after_ms;
  return reply;
}

} // namespace gristmill::openai
