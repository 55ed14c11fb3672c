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

Value truth(bool is) {
  return {is ? "true" : "false"};
}

constexpr std::array<KnownField, 24> known{{
    {"custom_id", [](OpenedLine& line) { return line.custom_id(); }},
    {"id", [](OpenedLine& line) { return line.id(); }},
    {"item", [](OpenedLine& line) { return line.about("item"); }},
    {"source", [](OpenedLine& line) { return line.about("source"); }},
    {"status",
     [](OpenedLine& line) { return Value{line.has_failed() ? "\"failed\"" : "\"completed\""}; }},
    {"content", [](OpenedLine& line) { return line.content(); }},
    {"finish_reason", [](OpenedLine& line) { return line.finish_reason(); }},
    {"label", [](OpenedLine& line) { return line.about("label"); }},
    {"votes", [](OpenedLine& line) { return line.about("votes"); }},
    {"tie",
     [](OpenedLine& line) {
       return line.about("label").is(Kind::none) ? Value{}
                                                 : truth(line.about("tie").text == "true");
     }},
    {"judge", [](OpenedLine& line) { return line.text_of_model(line.judge()); }},
    {"error_code", [](OpenedLine& line) { return line.error("code"); }},
    {"error_class", [](OpenedLine& line) { return line.about("class"); }},
    {"error_message", [](OpenedLine& line) { return line.error("message"); }},
    {"http_status", [](OpenedLine& line) { return json::find(line.response(), "status_code"); }},
    {"model", [](OpenedLine& line) { return line.about("model"); }},
    {"endpoint", [](OpenedLine& line) { return line.about("endpoint"); }},
    {"prompt_tokens", [](OpenedLine& line) { return line.tokens(Tokens::prompt); }},
    {"completion_tokens", [](OpenedLine& line) { return line.tokens(Tokens::completion); }},
    {"attempts", [](OpenedLine& line) { return line.about("attempts"); }},
    {"latency_ms", [](OpenedLine& line) { return line.about("latency_ms"); }},
    {"cached", [](OpenedLine& line) { return line.about("cached"); }},
    {"repaired", [](OpenedLine& line) { return truth(line.about("repaired").text == "true"); }},
    {"chunks", [](OpenedLine& line) { return line.about("chunks"); }},
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
                   return json::find(line.about("input"), member);
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
