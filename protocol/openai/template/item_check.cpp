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
constexpr std::string_view leave_out = "; --skip-blank leaves such documents out";

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

std::string sentence_of_fields_in_text(std::string_view field) {
  return fmt::format("expected only {{{{text}}}} in the template, because a text document has no "
                     "fields, got {{{{{}}}}}",
                     json::printable(field, name_shown_bytes_max));
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

ItemCheck::ItemCheck(const JobSpec& spec) : task_{spec.shape.task}, template_{spec} {
  const auto fields = template_fields(spec.shape.judge_prompt);
  if (!fields) return; // whoever gives the job hears of it
  for (const std::string& field : *fields) {
    if (field.starts_with("answer.")) continue;
    if (judge_foreign_.empty() && field != "text") judge_foreign_ = field;
    judge_fields_.push_back(field == "text" ? spec.shape.text_field : field);
  }
}

ItemCheck::Fault ItemCheck::fault_of_object(std::string_view object) const {
  const std::vector<std::string>& fields = template_.fields();
  const auto values = template_.finder().in(json::root(object));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i].is(json::Kind::none)) return {sentence_of_missing_field(fields[i], object)};
  // Before the first call: it is the last one that would miss it.
  for (const std::string& field : judge_fields_)
    if (json::find(json::root(object), field).is(json::Kind::none))
      return {sentence_of_missing_field(field, object) + " (--judge-prompt)"};
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
  if (const std::string& foreign = template_.foreign(); !foreign.empty())
    return {sentence_of_fields_in_text(foreign)};
  if (!judge_foreign_.empty())
    return {sentence_of_fields_in_text(judge_foreign_) + " (--judge-prompt)"};
  if (template_.content().empty() || !is_blank_text(text)) return {};
  return {fmt::format("expected a document with text, got {}{}",
                      text.empty() ? "an empty file" : "a file of only space", leave_out),
          true};
}

std::string ItemCheck::fault_of_line(std::string_view path) const {
  if (!judge_foreign_.empty())
    return fmt::format("expected only {{{{text}}}} and answers in --judge-prompt, because a batch "
                       "line has no fields, got {{{{{}}}}}",
                       json::printable(judge_foreign_, name_shown_bytes_max));
  return fault_of_task(task_, path);
}

} // namespace gristmill::openai
