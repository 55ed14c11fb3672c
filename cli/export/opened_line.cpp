#include "cli/export/opened_line.hpp"

#include "cli/export/places.hpp"
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

constexpr std::array<std::string_view, place_count> paths{
    "id",
    "custom_id",
    "response.status_code",
    "response.body",
    "response.body.choices.0",
    "response.body.choices.0.message",
    "response.body.choices.0.message.content",
    "response.body.choices.0.text",
    "response.body.choices.0.finish_reason",
    "response.body.usage",
    "response.body.output",
    "response.body.data",
    "response.body.status",
    "response.body.incomplete_details.reason",
    "error",
    "error.code",
    "error.message",
    "gristmill.source",
    "gristmill.input",
    "gristmill.attempts",
    "gristmill.model",
    "gristmill.endpoint",
    "gristmill.latency_ms",
    "gristmill.cached",
    "gristmill.repaired",
    "gristmill.class",
    "gristmill.code",
    "gristmill.message",
    "gristmill.label",
    "gristmill.votes",
    "gristmill.tie",
    "gristmill.answers",
    "gristmill.judge",
    "gristmill.chunks",
    "gristmill.item",
};

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
Value reason_of_response(Value status, Value incomplete) {
  if (json::text_of(incomplete) == "max_output_tokens") return {"\"length\""};
  if (incomplete.is(Kind::string)) return incomplete;
  return json::text_of(status) == "completed" ? Value{"\"stop\""} : status;
}

// What one of several models took.
protocol::Usage usage_in(Value answer) {
  const Value body = json::find(json::find(answer, "response"), "body");
  return openai::usage_of(json::find(body, "usage"));
}

} // namespace

OpenedLine::OpenedLine(std::string_view line) : root_{line} {
  static const Places places{paths};
  places.find(line, found_);
  failed_ = at(Place::error_class).is(Kind::string);
}

Value OpenedLine::error_code() const {
  if (!failed_) return {};
  return at(at(Place::error).is(Kind::object) ? Place::error_code : Place::read_code);
}

Value OpenedLine::error_message() const {
  if (!failed_) return {};
  return at(at(Place::error).is(Kind::object) ? Place::error_message : Place::read_message);
}

Value OpenedLine::content() {
  if (content_) return *content_;
  if (failed_)
    content_ = Value{};
  else if (at(Place::choice).is(Kind::object))
    content_ = text_of_choice(at(Place::message), at(Place::content), at(Place::text));
  else
    content_ = text_in(at(Place::body));
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
  return at(Place::output).is(Kind::array)
             ? reason_of_response(at(Place::response_status), at(Place::incomplete_reason))
             : at(Place::finish_reason);
}

Value OpenedLine::tokens(Tokens which) {
  protocol::Usage all;
  const auto add = [&all](const protocol::Usage& usage) {
    all.known = all.known || usage.known;
    all.prompt += usage.prompt;
    all.completion += usage.completion;
  };
  const Value answers = at(Place::answers);
  json::Elements models{answers};
  while (const auto model = models.next()) add(usage_in(*model));
  add(answers.is(Kind::array) ? usage_in(at(Place::judge)) : openai::usage_of(at(Place::usage)));
  if (!all.known) return {};
  return kept(std::to_string(which == Tokens::prompt ? all.prompt : all.completion));
}

Value OpenedLine::model(std::uint64_t number, std::string_view name) const {
  json::Elements models{at(Place::answers)};
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

Value OpenedLine::text_of_choice(Value message, Value content, Value text) {
  if (!message.is(Kind::object)) return text;
  return content.is(Kind::array) ? kept(string_json(openai::text_of_message(message))) : content;
}

Value OpenedLine::text_in(Value body) {
  if (const auto choice = json::Elements{json::find(body, "choices")}.next()) {
    const Value message = json::find(*choice, "message");
    return text_of_choice(message, json::find(message, "content"), json::find(*choice, "text"));
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
