#include "protocol/openai/request/pack.hpp"

#include "protocol/openai/api.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

// A request's body without the value of its input.
struct Body {
  std::string_view before, after;
  Value input;
  bool agrees_with(const Body& other) const {
    return before == other.before && after == other.after;
  }
};

Body body_of(std::string_view text) {
  const Value input = json::find(json::root(text), "input");
  if (!input.is(Kind::string)) return {};
  const auto at = static_cast<std::size_t>(input.text.data() - text.data());
  return {text.substr(0, at), text.substr(at + input.text.size()), input};
}

// The element, as the first and only one of its list.
std::string first_in_list(Value element, std::string_view model) {
  std::string body = R"({"object":"list","data":[{)";
  json::Members members{element};
  while (const auto member = members.next()) {
    const std::string_view value = member->named("index") ? "0" : member->value.text;
    if (body.back() != '{') body += ',';
    body += fmt::format("\"{}\":{}", member->key, value);
  }
  body += "}],\"model\":";
  json::append_string(body, model);
  return body + '}';
}

} // namespace

Result<Request> packed(const std::vector<Request>& requests) {
  const Request& first = requests.at(0);
  if (requests.size() == 1) return first;
  const Body frame = body_of(first.body);
  std::string inputs;
  for (const Request& request : requests) {
    const Body body = body_of(request.body);
    if (api_of(request.path) != Api::embeddings || request.path != first.path ||
        body.input.text.empty() || !body.agrees_with(frame))
      return fail(ErrorCode::bad_input,
                  "expected requests for embeddings that differ in their one input alone, got "
                  "others to be made as one call");
    inputs += inputs.empty() ? '[' : ',';
    inputs += body.input.text;
  }
  return Request{first.path, fmt::format("{}{}]{}", frame.before, inputs, frame.after),
                 first.model};
}

std::vector<protocol::Answer> answers_of(const protocol::Reply& reply,
                                         const std::vector<PartId>& parts) {
  std::vector<protocol::Answer> answers;
  for (const PartId& part : parts) answers.push_back({part, OutcomeClass::malformed, {}});
  std::vector<int> found(parts.size());
  json::Elements elements{json::find(json::root(reply.body), "data")};
  while (const auto element = elements.next()) {
    const auto index = json::integer_of(json::find(*element, "index"));
    if (!index || *index >= parts.size()) continue;
    const bool first = ++found[*index] == 1;
    answers[*index].cls = first ? OutcomeClass::ok : OutcomeClass::malformed;
    answers[*index].body = first ? first_in_list(*element, reply.model) : std::string{};
  }
  return answers;
}

} // namespace gristmill::openai
