#include "protocol/openai/request/step.hpp"

#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

void append_member(std::string& out, std::string_view name, std::string_view text) {
  if (!out.empty() && out.back() != '{') out += ',';
  json::append_string(out, name);
  out += ':';
  json::append_string(out, text);
}

// What the user of a chat said last, or the input or prompt of another request.
std::string asked_in(std::string_view line) {
  const Value body = json::find(json::root(line), "body");
  std::string text;
  json::Elements messages{json::find(body, "messages")};
  while (const auto message = messages.next())
    if (json::text_of(json::find(*message, "role")) == "user") text = text_of_message(*message);
  if (text.empty()) text = json::text_of(json::find(body, "input"));
  return text.empty() ? json::text_of(json::find(body, "prompt")) : text;
}

JobSpec judge_spec(const JobSpec& spec) {
  JobSpec judge = spec;
  judge.shape.prompt = spec.shape.judge_prompt;
  judge.shape.system.clear();
  judge.shape.models = {spec.shape.judge_model};
  return judge;
}

// The model is that of the part, as it is of its chunks.
JobSpec reduce_spec(const JobSpec& spec) {
  JobSpec reduce = spec;
  reduce.shape.prompt = spec.shape.reduce_prompt;
  reduce.shape.system.clear();
  reduce.shape.chunk_tokens = reduce.shape.chunk_overlap = 0;
  return reduce;
}

} // namespace

CallForms::CallForms(const JobSpec& spec)
    : items_{spec}, reduce_{reduce_spec(spec)}, judge_{judge_spec(spec)} {}

std::string step_item(const JobSpec& spec, ItemKind kind, std::string_view item,
                      std::string_view members) {
  std::string object = "{";
  if (kind == ItemKind::json_object) {
    const Value own = json::root(item);
    if (json::Members{own}.next()) object += own.text.substr(1, own.text.size() - 2);
  } else {
    append_member(object, spec.shape.text_field,
                  kind == ItemKind::text ? std::string{item} : asked_in(item));
  }
  // Of members with one name the last one counts.
  if (object.size() > 1 && !members.empty()) object += ',';
  object += members;
  return object + '}';
}

std::string reduce_item(const JobSpec& spec, ItemKind kind, std::string_view item,
                        std::string_view members) {
  std::string object = "{";
  const auto add = [&object](std::string_view more) {
    if (object.size() > 1 && !more.empty()) object += ',';
    object += more;
  };
  json::Members own{json::root(kind == ItemKind::json_object ? item : std::string_view{})};
  while (const auto member = own.next())
    if (!member->named(spec.shape.text_field))
      add(fmt::format("\"{}\":{}", member->key, member->value.text));
  add(members);
  return object + '}';
}

} // namespace gristmill::openai
