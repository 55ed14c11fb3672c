#include "protocol/openai/template/item_check.hpp"

#include "protocol/job/spec.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/template/prompt_template.hpp"
#include "protocol/text/blank_text.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::openai {
namespace {

constexpr std::size_t names_shown_max = 10, name_shown_bytes_max = 60;
constexpr std::string_view leave_out = "; --drop-empty leaves such documents out";

// What a value without text is; empty = it has some. Numbers, lists and objects say something.
std::string_view why_blank(json::Value value) {
  if (value.is(json::Kind::null)) return "null";
  if (!value.is(json::Kind::string)) return {};
  const std::string_view spelled = value.text.substr(1, value.text.size() - 2);
  if (spelled.empty()) return "an empty string";
  const char first = spelled.front();
  if (first > ' ' && first != '\\') return {}; // most are known by their first letter
  return is_blank_text(json::decoded(spelled)) ? "only space" : std::string_view{};
}

} // namespace

// So that a misspelled one is seen at a glance.
std::string names_in(std::string_view object) {
  std::string names;
  std::size_t count = 0;
  json::Members members{json::root(object)};
  while (const auto member = members.next())
    if (++count <= names_shown_max)
      names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ",
                           json::printable(json::decoded(member->key), name_shown_bytes_max));
  if (count == 0) return "no field";
  if (count > names_shown_max) names += fmt::format(" and {} more", count - names_shown_max);
  return (count == 1 ? "only the field " : "the fields ") + names;
}

std::string sentence_of_missing_field(std::string_view field, std::string_view object) {
  // Nobody calls a field so; it looks like JSON or code.
  const bool braces = field.find_first_of("\"'{}()%|") != field.npos;
  return fmt::format("expected the field \"{}\", which the template names, got {}{}",
                     json::printable(field, name_shown_bytes_max), names_in(object),
                     braces ? "; \\{{ stands for braces that are meant" : "");
}

std::string sentence_of_fields_in_text(std::string_view field, std::string_view allowed) {
  return fmt::format("expected only {} in the template, because a text document has no fields, got "
                     "{{{{{}}}}}",
                     allowed, json::printable(field, name_shown_bytes_max));
}

std::string fault_of_task(Task task, std::string_view path) {
  if (!info(task).opening.empty())
    return fmt::format("expected a document with --task {}, got a batch line, whose request says "
                       "itself what is wanted; give documents, or leave --task out",
                       name_of(task));
  if (info(task).embeds && api_of(path) != Api::embeddings)
    return fmt::format("expected url /v1/embeddings with --task embed, got /v1{}", path);
  return {};
}

ItemCheck::ItemCheck(const JobSpec& spec)
    : task_{spec.shape.task}, in_chunks_{spec.shape.chunk_tokens > 0}, template_{spec},
      foreign_{in_chunks_ ? first_foreign(spec.shape) : template_.foreign()},
      reduce_{step_fields("--reduce-prompt", spec.shape.reduce_prompt, spec.shape.text_field,
                          [](std::string_view field) { return field == "answers"; })},
      judge_{step_fields("--judge-prompt", spec.shape.judge_prompt, spec.shape.text_field,
                         [](std::string_view field) { return field.starts_with("answer."); })} {}

ItemCheck::StepFields ItemCheck::step_fields(std::string_view option, std::string_view prompt,
                                             const std::string& text_field, IsAnswer is_answer) {
  StepFields step{option, {}, {}};
  const auto fields = template_fields(prompt);
  if (!fields) return step; // whoever gives the job hears of it
  for (const std::string& field : *fields) {
    if (is_answer(field)) continue;
    if (step.foreign.empty() && field != "text") step.foreign = field;
    step.fields.push_back(field == "text" ? text_field : field);
  }
  return step;
}

bool ItemCheck::is_of_chunk(std::string_view field) const {
  return in_chunks_ && (field == "chunk" || field == "chunks");
}

std::string ItemCheck::first_foreign(const RequestShape& shape) const {
  for (const std::string* text : {&shape.system, &shape.prompt}) {
    const auto fields = template_fields(*text);
    if (!fields) return {};
    for (const std::string& field : *fields)
      if (field != "text" && !is_of_chunk(field)) return field;
  }
  return {};
}

ItemCheck::Fault ItemCheck::fault_of_object(std::string_view object) const {
  const std::vector<std::string>& fields = template_.fields();
  const auto values = template_.finder().in(json::root(object));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i].is(json::Kind::none) && !is_of_chunk(fields[i]))
      return {sentence_of_missing_field(fields[i], object)};
  // Before the first call: they are the last ones that would miss it.
  for (const StepFields* step : {&reduce_, &judge_})
    for (const std::string& field : step->fields)
      if (json::find(json::root(object), field).is(json::Kind::none))
        return {fmt::format("{} ({})", sentence_of_missing_field(field, object), step->option)};
  const std::vector<std::size_t>& content = template_.content();
  if (content.empty()) return {}; // whoever asks for nothing of a document needs no text in it
  for (const std::size_t place : content)
    if (why_blank(values[place]).empty()) return {};
  if (content.size() > 1)
    return {fmt::format("expected a document with text, got nothing but null, empty strings and "
                        "space in the {} fields that the template names{}",
                        content.size(), leave_out),
            true};
  return {fmt::format("expected a document with text, got {} in the field \"{}\"{}",
                      why_blank(values[content.front()]),
                      json::printable(fields[content.front()], name_shown_bytes_max), leave_out),
          true};
}

ItemCheck::Fault ItemCheck::fault_of_text(std::string_view text) const {
  if (!foreign_.empty())
    return {sentence_of_fields_in_text(foreign_, in_chunks_ ? "{{text}}, {{chunk}} and {{chunks}}"
                                                            : "{{text}}")};
  if (!reduce_.foreign.empty())
    return {sentence_of_fields_in_text(reduce_.foreign, "{{answers}}") + " (--reduce-prompt)"};
  if (!judge_.foreign.empty())
    return {sentence_of_fields_in_text(judge_.foreign) + " (--judge-prompt)"};
  if (template_.content().empty() || !is_blank_text(text)) return {};
  return {fmt::format("expected a document with text, got {}{}",
                      text.empty() ? "an empty file" : "a file of only space", leave_out),
          true};
}

std::string ItemCheck::fault_of_line(std::string_view path) const {
  if (in_chunks_)
    return "expected a document with --chunk-tokens, got a batch line, whose request is whole; "
           "give documents, or leave --chunk-tokens out";
  if (!judge_.foreign.empty())
    return fmt::format("expected only {{{{text}}}} and answers in --judge-prompt, because a batch "
                       "line has no fields, got {{{{{}}}}}",
                       json::printable(judge_.foreign, name_shown_bytes_max));
  return fault_of_task(task_, path);
}

} // namespace gristmill::openai
