#include "cli/export/field.hpp"

#include "cli/export/json_pointer.hpp"
#include "protocol/text/blank_text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

namespace gristmill::cli::flat {
namespace {

using json::Kind;
using json::Value;
using Tokens = OpenedLine::Tokens;

// Of what stands in a line only if it is true.
Value truth(Value said) {
  return {said.text == "true" ? "true" : "false"};
}

// What stands at one place as it is.
template <Place place> Value at(OpenedLine& line) {
  return line.at(place);
}

constexpr std::array<KnownField, 24> known{{
    {"custom_id", at<Place::custom_id>},
    {"id", at<Place::id>},
    {"item", at<Place::item>},
    {"source", at<Place::source>},
    {"status",
     [](OpenedLine& line) { return Value{line.has_failed() ? "\"failed\"" : "\"completed\""}; }},
    {"content", [](OpenedLine& line) { return line.content(); }},
    {"finish_reason", [](OpenedLine& line) { return line.finish_reason(); }},
    {"label", at<Place::label>},
    {"votes", at<Place::votes>},
    {"tie",
     [](OpenedLine& line) {
       return line.at(Place::label).is(Kind::none) ? Value{} : truth(line.at(Place::tie));
     }},
    {"judge", [](OpenedLine& line) { return line.text_of_model(line.at(Place::judge)); }},
    {"error_code", [](OpenedLine& line) { return line.error_code(); }},
    {"error_class", at<Place::error_class>},
    {"error_message", [](OpenedLine& line) { return line.error_message(); }},
    {"http_status", at<Place::status_code>},
    {"model", at<Place::model>},
    {"endpoint", at<Place::endpoint>},
    {"prompt_tokens", [](OpenedLine& line) { return line.tokens(Tokens::prompt); }},
    {"completion_tokens", [](OpenedLine& line) { return line.tokens(Tokens::completion); }},
    {"attempts", at<Place::attempts>},
    {"latency_ms", at<Place::latency_ms>},
    {"cached", at<Place::cached>},
    {"repaired", [](OpenedLine& line) { return truth(line.at(Place::repaired)); }},
    {"chunks", at<Place::chunks>},
}};

// What stands behind the prefix, if there is something.
std::optional<std::string> behind(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || name.size() == prefix.size()) return std::nullopt;
  return std::string{name.substr(prefix.size())};
}

struct ModelName {
  std::uint64_t number = 0;
  std::string name; // empty: by its number

  explicit ModelName(const std::string& said)
      : number{json::integer_of({said}).value_or(0)}, name{number == 0 ? said : ""} {}
  Value in(const OpenedLine& line) const { return line.model(number, name); }
};

std::string said_of_fields() {
  std::string names;
  for (const KnownField& field : known) names += fmt::format("{}, ", field.name);
  return names + "content.MEMBER, content/POINTER, input.FIELD, answers.N, answers.MODEL, "
                 "labels.N, labels.MODEL, or a JSON pointer such as /response/body/id";
}

} // namespace

std::span<const KnownField> known_fields() {
  return known;
}

Result<Field> Field::of_pointer(std::string_view name, std::string_view pointer,
                                Value (*document)(OpenedLine&)) {
  auto read = JsonPointer::of(pointer);
  if (!read) return fail(ErrorCode::usage, fmt::format("{}: {}", name, read.error().message));
  return Field{name, false, [document, place = std::move(*read)](OpenedLine& line) {
                 return place.in(document(line));
               }};
}

Result<Field> Field::named(std::string_view name) {
  const auto* found = std::ranges::find(known, name, &KnownField::name);
  if (found != known.end()) return Field{name, true, found->read};
  if (name.starts_with('/'))
    return of_pointer(name, name, [](OpenedLine& line) { return line.root(); });
  if (name.starts_with("content/"))
    return of_pointer(name, name.substr(std::string_view{"content"}.size()),
                      [](OpenedLine& line) { return line.structured(); });
  if (const auto member = behind(name, "content."))
    return Field{name, false, [member = *member](OpenedLine& line) {
                   return json::find(line.structured(), member);
                 }};
  if (const auto member = behind(name, "input."))
    return Field{name, false, [member = *member](OpenedLine& line) {
                   return json::find(line.at(Place::input), member);
                 }};
  if (const auto model = behind(name, "answers."))
    return Field{name, false, [model = ModelName{*model}](OpenedLine& line) {
                   return line.text_of_model(model.in(line));
                 }};
  if (const auto model = behind(name, "labels."))
    return Field{name, false, [model = ModelName{*model}](OpenedLine& line) {
                   return json::find(model.in(line), "label");
                 }};
  return fail(ErrorCode::usage,
              fmt::format("expected {}; got {}", said_of_fields(),
                          name.empty() ? "an empty name" : fmt::format("\"{}\"", name)));
}

Result<std::vector<Field>> fields_named(std::string_view names) {
  std::vector<Field> fields;
  for (bool more = true; more;) {
    const std::size_t comma = names.find(',');
    auto field = Field::named(without_blank_ends(names.substr(0, comma)));
    GRISTMILL_TRY(field);
    if (std::ranges::find(fields, field->name(), &Field::name) != fields.end())
      return fail(ErrorCode::usage,
                  fmt::format("expected each field once, got \"{}\" twice", field->name()));
    fields.push_back(std::move(*field));
    more = comma != names.npos;
    if (more) names.remove_prefix(comma + 1);
  }
  return fields;
}

} // namespace gristmill::cli::flat
