#include "protocol/openai/chunk/document.hpp"

#include "protocol/openai/template/prompt_template.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::openai {
namespace {

void append_name(std::string& object, std::string_view name) {
  if (object.back() != '{') object += ',';
  json::append_string(object, name);
  object += ':';
}

} // namespace

DocumentReader::DocumentReader(const JobSpec& spec) : spec_{spec} {
  const RequestShape& shape = spec.shape;
  for (const std::string* prompt : {&shape.prompt, &shape.system, &shape.reduce_prompt}) {
    const auto fields = template_fields(*prompt);
    if (!fields) continue; // whoever gives the job hears of it
    used_.insert(used_.end(), fields->begin(), fields->end());
  }
  std::erase(used_, shape.text_field);
}

Document DocumentReader::read(ItemKind kind, std::string_view raw) const {
  Document document{text_of_item(spec_, kind, raw), "{"};
  json::Members members{json::root(kind == ItemKind::json_object ? raw : std::string_view{})};
  while (const auto member = members.next()) {
    const auto names = [&](const std::string& field) { return member->named(field); };
    if (std::ranges::none_of(used_, names) || names(spec_.shape.text_field)) continue;
    document.fields += fmt::format("{}\"{}\":{}", document.fields.size() > 1 ? "," : "",
                                   member->key, member->value.text);
  }
  document.fields += '}';
  return document;
}

std::string text_of_item(const JobSpec& spec, ItemKind kind, std::string_view raw) {
  if (kind == ItemKind::text) return std::string{raw};
  const json::Value text = json::find(json::root(raw), spec.shape.text_field);
  return text.is(json::Kind::string) ? json::text_of(text) : std::string{text.text};
}

std::string chunk_item(const JobSpec& spec, ItemKind kind, std::string_view raw,
                       std::string_view chunk, std::uint32_t number, std::uint32_t of) {
  constexpr std::string_view number_name = "chunk", of_name = "chunks";
  const std::string& text_field = spec.shape.text_field;
  std::string object = "{";
  if (kind == ItemKind::json_object) {
    json::Members members{json::root(raw)};
    while (const auto member = members.next()) {
      if (member->named(text_field) || member->named(number_name) || member->named(of_name))
        continue;
      if (object.size() > 1) object += ',';
      object += fmt::format("\"{}\":{}", member->key, member->value.text);
    }
  }
  append_name(object, text_field);
  json::append_string(object, chunk);
  // Of members with one name the last one counts, and a call without its text asks for nothing.
  const auto append_number = [&](std::string_view name, std::uint32_t value) {
    if (name == text_field) return;
    append_name(object, name);
    object += std::to_string(value);
  };
  append_number(number_name, number);
  append_number(of_name, of);
  return object + '}';
}

} // namespace gristmill::openai
