#include "protocol/openai/line/batch_line.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/request/request_body.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/member_finder.hpp"

#include <fmt/format.h>
#include <set>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

// The four members of a batch line that we know, and what Anthropic's have in place of three of
// them; others are ignored.
struct Line {
  Value custom_id, method, url, body, params;
};

Line line_of(Value object) {
  Line line;
  json::Members members{object};
  while (const auto member = members.next()) {
    if (member->named("custom_id")) line.custom_id = member->value;
    if (member->named("method")) line.method = member->value;
    if (member->named("url")) line.url = member->value;
    if (member->named("body")) line.body = member->value;
    if (member->named("params")) line.params = member->value;
  }
  return line;
}

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::bad_input, std::move(message));
}

// An object, or why the text is none.
Result<Value> object_of(std::string_view text) {
  if (const auto checked = json::check(text); !checked)
    return bad("expected a JSON object: " + checked.error().message);
  const Value value = json::root(text);
  if (!value.is(Kind::object))
    return bad(fmt::format("expected a JSON object, got {}", json::name_of(value.kind())));
  return value;
}

Result<std::string> id_of(std::string_view field, Value value) {
  std::string id = value.is(Kind::number) ? std::string{value.text} : json::text_of(value);
  if (id.size() > limits::custom_id_bytes_max)
    return bad(fmt::format("expected {} of at most {} bytes, got {}", field,
                           limits::custom_id_bytes_max, id.size()));
  return id;
}

// The path below the base URL. Other services' batch files name neither method nor url.
Result<std::string> path_of_line(const Line& line, std::string_view assume_url) {
  const bool no_method = line.method.is(Kind::none), no_url = line.url.is(Kind::none);
  if (line.body.is(Kind::none) && line.params.is(Kind::object))
    return bad("expected method \"POST\", url and body, as a batch line of OpenAI's has them, got "
               "params, as one of Anthropic's has them; make such lines of them");
  if (no_method && no_url && !assume_url.empty()) return path_of(assume_url);
  if (no_method && no_url)
    return bad("expected method \"POST\" and url, got neither; if the lines are those of a service "
               "whose batch files have none, say what to call: --assume-url /v1/chat/completions");
  if (!(no_method && !assume_url.empty()) && json::text_of(line.method) != "POST")
    return bad(
        fmt::format("expected method \"POST\", got {}",
                    line.method.text.empty() ? "nothing" : json::printable(line.method.text, 40)));
  if (no_url && !assume_url.empty()) return path_of(assume_url);
  if (!line.url.is(Kind::string))
    return bad(fmt::format("expected url to be a string, got {}", json::name_of(line.url.kind())));
  return path_of(json::text_of(line.url));
}

} // namespace

Result<BatchLine> read_batch_line(std::string_view text, std::string_view assume_url) {
  const auto object = object_of(text);
  GRISTMILL_TRY(object);
  const Line line = line_of(*object);
  BatchLine read;

  if (!line.custom_id.is(Kind::string))
    return bad(fmt::format("expected custom_id to be a string, got {}",
                           json::name_of(line.custom_id.kind())));
  auto id = id_of("custom_id", line.custom_id);
  GRISTMILL_TRY(id);
  if (id->empty()) return bad("expected custom_id to have a text, got an empty string");
  read.custom_id = std::move(*id);

  auto path = path_of_line(line, assume_url);
  GRISTMILL_TRY(path);
  read.path = std::move(*path);

  if (!line.body.is(Kind::object))
    return bad(
        fmt::format("expected body to be an object, got {}", json::name_of(line.body.kind())));
  if (asks_for_stream(line.body))
    return bad(
        "expected a body without \"stream\": true, because a batch has no stream; remove it");
  return read;
}

Result<std::string> field_text(std::string_view text, std::string_view field) {
  const auto object = object_of(text);
  GRISTMILL_TRY(object);
  const Value value = json::find(*object, field);
  switch (value.kind()) {
  case Kind::none:
  case Kind::null: return std::string{};
  case Kind::string:
  case Kind::number: return id_of(field, value);
  default:
    return bad(fmt::format("expected {} to be a string or a number, got {}", field,
                           json::name_of(value.kind())));
  }
}

std::string kept_fields(std::string_view text, const std::vector<std::string>& fields) {
  const Value object = json::root(text);
  if (!object.is(Kind::object)) return {};
  std::vector<std::string> names; // each once, or a field would be copied as often as it is named
  std::set<std::string_view> known;
  for (const std::string& field : fields)
    if (known.insert(field).second) names.push_back(field);
  const std::vector<Value> values = json::MemberFinder{names}.in(object);
  std::string out = "{";
  for (std::size_t i = 0; i < names.size(); ++i) {
    // The line may have changed since it was checked; a result line stays JSON whatever it holds.
    if (values[i].is(Kind::none) || !json::check(values[i].text)) continue;
    if (out.size() > 1) out += ',';
    json::append_string(out, names[i]);
    out += ':';
    out += json::minified(values[i].text);
  }
  return out + '}';
}

} // namespace gristmill::openai
