#include "cli/export/opened_line.hpp"

#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/openai/reply/embedding.hpp"
#include "protocol/openai/reply/usage.hpp"

#include <cmath>
#include <fmt/format.h>
#include <iterator>
#include <utility>
#include <vector>

namespace gristmill::cli::flat {
namespace {

using json::Kind;
using json::Value;

constexpr Value nothing_said{"null"};

std::string string_json(std::string_view text) {
  std::string spelled;
  json::append_string(spelled, text);
  return spelled;
}

// JSON has no NaN.
std::string numbers_json(const std::vector<float>& numbers) {
  std::string array = "[";
  for (const float number : numbers) {
    if (array.size() > 1) array += ',';
    if (std::isfinite(number))
      fmt::format_to(std::back_inserter(array), "{}", number);
    else
      array += "null";
  }
  return array + "]";
}

// The reason that chat would have given for a Responses body's status.
Value reason_of_response(Value body) {
  const Value reason = json::find(json::find(body, "incomplete_details"), "reason");
  if (json::text_of(reason) == "max_output_tokens") return {"\"length\""};
  if (reason.is(Kind::string)) return reason;
  const Value status = json::find(body, "status");
  return json::text_of(status) == "completed" ? Value{"\"stop\""} : status;
}

protocol::Usage usage_in(Value response) {
  return openai::usage_of(json::find(json::find(response, "body"), "usage"));
}

} // namespace

OpenedLine::OpenedLine(std::string_view line) : root_{line} {
  json::Members members{root_};
  while (const auto member = members.next()) {
    if (member->named("id")) id_ = member->value;
    if (member->named("custom_id")) custom_id_ = member->value;
    if (member->named("response")) response_ = member->value;
    if (member->named("error")) error_ = member->value;
    if (member->named("gristmill")) about_ = member->value;
  }
  failed_ = about("class").is(Kind::string);
  body_ = json::find(response_, "body");
}

Value OpenedLine::error(std::string_view name) const {
  if (!failed_) return {};
  return error_.is(Kind::object) ? json::find(error_, name) : about(name);
}

Value OpenedLine::content() {
  if (!content_) content_ = failed_ ? Value{} : text_in(body_);
  return *content_;
}

Value OpenedLine::structured() {
  if (structured_) return *structured_;
  structured_ = Value{};
  if (!content().is(Kind::string)) return *structured_;
  std::string text = json::text_of(content());
  if (!json::check(text)) text = openai::without_fence(openai::without_thoughts(text));
  if (json::check(text)) structured_ = json::root(kept(std::move(text)).text);
  return *structured_;
}

Value OpenedLine::finish_reason() const {
  if (failed_) return {};
  if (const auto choice = json::Elements{json::find(body_, "choices")}.next())
    return json::find(*choice, "finish_reason");
  return json::find(body_, "output").is(Kind::array) ? reason_of_response(body_) : Value{};
}

Value OpenedLine::tokens(Tokens which) {
  protocol::Usage all;
  const auto add = [&all](const protocol::Usage& usage) {
    all.known = all.known || usage.known;
    all.prompt += usage.prompt;
    all.completion += usage.completion;
  };
  const Value answers = about("answers");
  json::Elements models{answers};
  while (const auto model = models.next()) add(usage_in(json::find(*model, "response")));
  add(usage_in(answers.is(Kind::array) ? json::find(judge(), "response") : response_));
  if (!all.known) return {};
  return kept(std::to_string(which == Tokens::prompt ? all.prompt : all.completion));
}

Value OpenedLine::model(std::uint64_t number, std::string_view name) const {
  json::Elements models{about("answers")};
  for (std::uint64_t n = 1; const auto model = models.next(); ++n)
    if (name.empty() ? n == number : json::text_of(json::find(*model, "model")) == name)
      return *model;
  return {};
}

Value OpenedLine::text_of_model(Value answer) {
  if (answer.is(Kind::none)) return {};
  if (!json::find(answer, "error").is(Kind::null)) return nothing_said;
  return text_in(json::find(json::find(answer, "response"), "body"));
}

Value OpenedLine::kept(std::string json) {
  return {kept_.emplace_back(std::move(json))};
}

// A text that stands in one string is passed on as it is spelled.
Value OpenedLine::text_in(Value body) {
  if (const auto choice = json::Elements{json::find(body, "choices")}.next()) {
    const Value message = json::find(*choice, "message");
    if (!message.is(Kind::object)) return json::find(*choice, "text");
    const Value content = json::find(message, "content");
    return content.is(Kind::array) ? kept(string_json(openai::text_of_message(message))) : content;
  }
  if (json::find(body, "output").is(Kind::array))
    return kept(string_json(openai::answer_text(body.text)));
  return vectors_in(json::find(body, "data"));
}

// Of an item that is several texts there are several vectors.
Value OpenedLine::vectors_in(Value data) {
  json::Elements elements{data};
  std::vector<Value> vectors;
  while (const auto element = elements.next())
    if (const Value embedding = json::find(*element, "embedding"); !embedding.is(Kind::none))
      vectors.push_back(vector_of(embedding));
  if (vectors.size() <= 1) return vectors.empty() ? Value{} : vectors.front();
  std::string all = "[";
  for (const Value& vector : vectors) {
    if (all.size() > 1) all += ',';
    all += vector.text;
  }
  return kept(all + "]");
}

Value OpenedLine::vector_of(Value embedding) {
  std::vector<float> numbers;
  const bool packed =
      embedding.is(Kind::string) && openai::append_base64_floats(json::text_of(embedding), numbers);
  return packed ? kept(numbers_json(numbers)) : embedding;
}

} // namespace gristmill::cli::flat
