#include "protocol/openai/schema/schema_text.hpp"

#include "protocol/openai/schema/answer_schema.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <re2/re2.h>
#include <set>
#include <string>

namespace gristmill::openai {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 7> type_names{"null",   "boolean", "object", "array",
                                                     "number", "string",  "integer"};
// Keywords with a schema in them, with a list of schemas, and with schemas by name.
constexpr std::array<std::string_view, 9> with_schema{"additionalItems",
                                                      "additionalProperties",
                                                      "contains",
                                                      "propertyNames",
                                                      "not",
                                                      "if",
                                                      "then",
                                                      "else",
                                                      "items"};
constexpr std::array<std::string_view, 4> with_list{"allOf", "anyOf", "oneOf", "items"};
constexpr std::array<std::string_view, 5> with_names{"properties", "$defs", "definitions",
                                                     "dependentSchemas", "dependencies"};
// Of no use here, or done by means of the library's own.
constexpr std::array<std::string_view, 4> left_out{"$id", "$schema", "id", "format"};

bool is_type(const Json& name) {
  return name.is_string() &&
         std::ranges::find(type_names, name.get_ref<const std::string&>()) != type_names.end();
}

class Preparer {
public:
  explicit Preparer(const Json& root) : root_{root} {}

  Result<> prepare(Json& schema, const std::string& at, std::size_t depth) {
    if (depth > AnswerSchema::depth_max)
      return bad(at, fmt::format("expected at most {} levels of schemas, got more",
                                 AnswerSchema::depth_max));
    if (schema.is_boolean()) return {};
    if (!schema.is_object())
      return bad(at, fmt::format("expected a schema, got a {}", schema.type_name()));
    GRISTMILL_TRY(check(schema, at));
    for (const std::string_view name : left_out)
      if (const auto it = schema.find(name); it != schema.end() && it->is_string())
        schema.erase(it);
    if (const auto it = schema.find("pattern"); it != schema.end()) {
      schema[std::string{own_pattern}] = *it;
      schema.erase("pattern");
    }
    return prepare_inner(schema, at, depth + 1);
  }

private:
  static Result<> bad(const std::string& at, std::string_view sentence) {
    return fail(ErrorCode::bad_input,
                fmt::format("at {}: {}", at.empty() ? "the root" : at, sentence));
  }
  static std::string below(const std::string& at, std::string_view name) {
    return (Json::json_pointer{at} / std::string{name}).to_string();
  }

  Result<> prepare_inner(Json& schema, const std::string& at, std::size_t depth) {
    for (auto& [name, value] : schema.items()) {
      const std::string place = below(at, name);
      const bool is_list =
          value.is_array() && std::ranges::find(with_list, name) != with_list.end();
      if (is_list) {
        for (std::size_t n = 0; n < value.size(); ++n)
          GRISTMILL_TRY(prepare(value[n], below(place, std::to_string(n)), depth));
      } else if (std::ranges::find(with_schema, name) != with_schema.end()) {
        GRISTMILL_TRY(prepare(value, place, depth));
      } else if (std::ranges::find(with_names, name) != with_names.end()) {
        if (!value.is_object())
          return bad(place, fmt::format("expected an object, got a {}", value.type_name()));
        for (auto& [key, inner] : value.items())
          if (!inner.is_array()) GRISTMILL_TRY(prepare(inner, below(place, key), depth));
      } else if (std::ranges::find(with_list, name) != with_list.end()) {
        return bad(place, fmt::format("expected a list of schemas, got a {}", value.type_name()));
      }
    }
    return {};
  }

  Result<> check(const Json& schema, const std::string& at) const {
    if (schema.contains("patternProperties"))
      return bad(below(at, "patternProperties"),
                 "expected no patternProperties, which are not checked; --no-check sends them");
    if (const auto type = schema.find("type"); type != schema.end()) {
      const bool known = type->is_array() ? std::ranges::all_of(*type, is_type) : is_type(*type);
      if (!known)
        return bad(below(at, "type"), fmt::format("expected a type of JSON, got {}",
                                                  json::printable(type->dump(), 60)));
    }
    if (const auto pattern = schema.find("pattern"); pattern != schema.end())
      GRISTMILL_TRY(check_pattern(*pattern, below(at, "pattern")));
    if (const auto ref = schema.find("$ref"); ref != schema.end())
      GRISTMILL_TRY(check_ref(*ref, below(at, "$ref")));
    return {};
  }

  static Result<> check_pattern(const Json& pattern, const std::string& at) {
    if (!pattern.is_string()) return bad(at, "expected a string");
    const RE2 re{pattern.get_ref<const std::string&>(), RE2::Quiet};
    if (re.ok()) return {};
    return bad(at, fmt::format("expected a pattern that RE2 takes, got {}: {}; --no-check sends it",
                               json::printable(pattern.dump(), 100), re.error()));
  }

  // Follows it until there is something else than a reference.
  Result<> check_ref(const Json& ref, const std::string& at) const {
    std::set<std::string> seen;
    for (const Json* next = &ref;;) {
      if (!next->is_string()) return bad(at, "expected a string");
      const std::string& text = next->get_ref<const std::string&>();
      const std::string shown = json::printable(text, 100);
      if (text != "#" && !text.starts_with("#/"))
        return bad(at, fmt::format("expected a place in this schema, # or #/…, got {}", shown));
      if (!seen.insert(text).second)
        return bad(at, fmt::format("expected a reference that ends, got one that comes back to {}",
                                   shown));
      const Json* target = nullptr;
      try {
        target = &root_.at(Json::json_pointer{text.substr(1)});
      } catch (const Json::exception&) {
        return bad(at, fmt::format("expected a place that there is, got {}", shown));
      }
      if (!target->is_object() && !target->is_boolean())
        return bad(at, fmt::format("expected the place of a schema, got {}", shown));
      const auto further = target->find("$ref");
      if (!target->is_object() || further == target->end()) return {};
      next = &*further;
    }
  }

  const Json& root_;
};

} // namespace

Result<Json> prepared_schema(const Json& schema) {
  Json prepared = schema;
  GRISTMILL_TRY(Preparer{schema}.prepare(prepared, "", 1));
  return prepared;
}

} // namespace gristmill::openai
