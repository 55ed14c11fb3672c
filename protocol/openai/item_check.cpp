#include "protocol/openai/item_check.hpp"

#include "protocol/openai/json_text.hpp"
#include "protocol/openai/wire.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::openai {
namespace {

constexpr std::size_t names_shown_max = 10, name_shown_bytes_max = 60;

// The members' names, so that a misspelled one is seen at a glance.
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

} // namespace

std::string sentence_of_missing_field(std::string_view field, std::string_view object) {
  return fmt::format("expected the field \"{}\", which the template names, got {}",
                     json::printable(field, name_shown_bytes_max), names_in(object));
}

std::string sentence_of_fields_in_text(std::string_view field) {
  return fmt::format("expected only {{{{text}}}} in the template, because a text document has no "
                     "fields, got {{{{{}}}}}",
                     json::printable(field, name_shown_bytes_max));
}

std::string fault_of_task(std::string_view task, std::string_view path) {
  if (task == "classify")
    return "expected a document with --task classify, got a batch line, whose request names no "
           "labels; give documents, or leave --task out";
  if (task == "embed" && api_of(path) != Api::embeddings)
    return fmt::format("expected url /v1/embeddings with --task embed, got /v1{}", path);
  return {};
}

ItemCheck::ItemCheck(const JobSpec& spec) : task_{spec.task}, template_{spec} {}

std::string ItemCheck::fault_of_object(std::string_view object) const {
  const auto values = template_.finder().in(json::root(object));
  const auto missing = std::find_if(values.begin(), values.end(), [](const json::Value& value) {
    return value.is(json::Kind::none);
  });
  if (missing == values.end()) return {};
  const auto place = static_cast<std::size_t>(missing - values.begin());
  return sentence_of_missing_field(template_.fields()[place], object);
}

std::string ItemCheck::fault_of_text() const {
  const std::string& foreign = template_.foreign();
  return foreign.empty() ? std::string{} : sentence_of_fields_in_text(foreign);
}

std::string ItemCheck::fault_of_line(std::string_view path) const {
  return fault_of_task(task_, path);
}

} // namespace gristmill::openai
