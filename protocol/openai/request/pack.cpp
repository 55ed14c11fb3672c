#include "protocol/openai/request/pack.hpp"

#include "protocol/openai/api.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <utility>

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

// FNV-1a, of several texts one after the other.
class Hash {
public:
  void add(std::string_view text) {
    for (const char c : text) value_ = (value_ ^ static_cast<unsigned char>(c)) * 1099511628211u;
    value_ = (value_ ^ text.size()) * 1099511628211u; // so that their boundaries count
  }
  std::uint64_t value() const { return value_ == 0 ? 1 : value_; }

private:
  std::uint64_t value_ = 14695981039346656037u;
};

// Of a reply to several inputs each gets its part by length. Remainders are carried on, so that
// the sum is the whole.
class UsageParts {
public:
  UsageParts(const protocol::Usage& usage, const std::vector<std::uint64_t>& lengths)
      : prompt_{usage.prompt}, known_{usage.known} {
    for (const std::uint64_t length : lengths) all_ += length + 1;
  }
  std::string next(std::uint64_t length) {
    if (!known_) return {};
    before_ += length + 1;
    // In two portions: all tokens, times bytes, may be more than a number holds.
    const std::uint64_t until = prompt_ / all_ * before_ + prompt_ % all_ * before_ / all_;
    const std::uint64_t tokens = until - std::exchange(given_, until);
    return fmt::format(R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}})", tokens);
  }

private:
  std::uint64_t prompt_, all_ = 0, before_ = 0, given_ = 0;
  bool known_;
};

// The element, as the first and only one of its list.
std::string first_in_list(Value element, std::string_view model, const std::string& usage) {
  std::string body = R"({"object":"list","data":[{)";
  json::Members members{element};
  while (const auto member = members.next()) {
    const std::string_view value = member->named("index") ? "0" : member->value.text;
    if (body.back() != '{') body += ',';
    body += fmt::format("\"{}\":{}", member->key, value);
  }
  body += "}],\"model\":";
  json::append_string(body, model);
  return body + usage + '}';
}

// Of each element the place of its input: servers number from 0 on, from 1 on, or not at all,
// and then the order counts. One that cannot be meant has the place behind the last.
std::vector<std::uint64_t> places_of(const std::vector<Value>& elements, std::size_t inputs) {
  std::vector<std::uint64_t> places;
  for (const Value& element : elements) {
    const Value index = json::find(element, "index");
    const bool is_numbered = !element.is(Kind::object) || !index.is(Kind::none);
    places.push_back(is_numbered ? json::integer_of(index).value_or(inputs) : places.size());
  }
  if (places.size() != inputs || inputs < 2) return places;
  const auto [least, most] = std::minmax_element(places.begin(), places.end());
  if (*least == *most && *most < inputs)
    std::iota(places.begin(), places.end(), 0);
  else if (*least == 1 && *most == inputs)
    for (std::uint64_t& place : places) --place;
  return places;
}

} // namespace

std::uint64_t pack_key(const JobSpec& spec, ItemKind kind, std::string_view raw) {
  Hash hash;
  if (!json::find(json::root(spec.shape.params), "input").is(Kind::none)) return 0;
  if (kind != ItemKind::batch_line) return info(spec.shape.task).embeds ? hash.value() : 0;
  const Value line = json::root(raw), body = json::find(line, "body"),
              url = json::find(line, "url");
  const std::string_view said =
      url.is(Kind::none) ? std::string_view{spec.shape.assume_url} : url.text;
  const auto path = path_of(url.is(Kind::none) ? spec.shape.assume_url : json::text_of(url));
  if (!path || api_of(*path) != Api::embeddings) return 0;
  const Body parts = body_of(body.text);
  if (parts.input.text.empty()) return 0;
  for (const std::string_view text : {said, parts.before, parts.after}) hash.add(text);
  return hash.value();
}

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

std::string input_text(const Request& request) {
  return json::text_of(json::find(json::root(request.body), "input"));
}

std::vector<std::uint64_t> input_lengths(const Request& packed) {
  std::vector<std::uint64_t> lengths;
  json::Elements inputs{json::find(json::root(packed.body), "input")};
  while (const auto input = inputs.next()) lengths.push_back(input->text.size());
  return lengths;
}

std::vector<protocol::Answer> answers_of(const protocol::Reply& reply,
                                         const std::vector<PartId>& parts,
                                         const std::vector<std::uint64_t>& lengths) {
  std::vector<protocol::Answer> answers;
  for (const PartId& part : parts) answers.push_back({part, OutcomeClass::malformed, {}});
  std::vector<Value> elements;
  json::Elements data{json::find(json::root(reply.body), "data")};
  while (const auto element = data.next()) elements.push_back(*element);
  const std::vector<std::uint64_t> places = places_of(elements, parts.size());
  std::vector<Value> found(parts.size());
  std::vector<int> count(parts.size());
  for (std::size_t n = 0; n < elements.size(); ++n) {
    if (places[n] >= parts.size()) continue;
    ++count[places[n]];
    found[places[n]] = elements[n];
  }
  UsageParts usage{reply.usage, lengths};
  for (std::size_t n = 0; n < parts.size(); ++n) {
    const std::string its = usage.next(n < lengths.size() ? lengths[n] : 0);
    if (count[n] != 1) continue;
    answers[n].cls = OutcomeClass::ok;
    answers[n].body = first_in_list(found[n], reply.model, its);
  }
  return answers;
}

} // namespace gristmill::openai
