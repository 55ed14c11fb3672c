#include "protocol/openai/request/step.hpp"

#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/text/json_text.hpp"

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

} // namespace

CallForms::CallForms(const JobSpec& spec) : items_{spec}, judge_{judge_spec(spec)} {}

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

} // namespace gristmill::openai
