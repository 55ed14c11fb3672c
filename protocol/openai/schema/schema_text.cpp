#include "protocol/openai/schema/schema_text.hpp"

#include "protocol/openai/schema/answer_schema.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <set>
#include <string>
#include <vector>

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
constexpr std::array<std::string_view, 5> with_list{"allOf", "anyOf", "oneOf", "items",
                                                    "prefixItems"};
constexpr std::array<std::string_view, 5> with_names{"properties", "$defs", "definitions",
                                                     "dependentSchemas", "dependencies"};
// What of it is about the value itself, not about what is in that.
constexpr std::array<std::string_view, 9> of_same_value{
    "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"};
// Of no use here, or done by means of the library's own.
constexpr std::array<std::string_view, 4> left_out{"$id", "$schema", "id", "format"};

template <std::size_t n>
bool is_one_of(std::string_view name, const std::array<std::string_view, n>& names) {
  return std::ranges::find(names, name) != names.end();
}

bool is_type(const Json& name) {
  return name.is_string() &&
         std::ranges::find(type_names, name.get_ref<const std::string&>()) != type_names.end();
}

std::string shown(const Json& value, std::size_t bytes) {
  return json::printable(value.dump(-1, ' ', false, Json::error_handler_t::replace), bytes);
}

// The schemas within one, each by its place; they are looked at as they were written.
class Schemas {
public:
  Result<> collect(const Json& schema, const std::string& at, std::size_t depth) {
    if (depth > AnswerSchema::depth_max)
      return bad(at, fmt::format("expected at most {} levels of schemas, got more",
                                 AnswerSchema::depth_max));
    if (!schema.is_object() && !schema.is_boolean())
      return bad(at, fmt::format("expected a schema, got a {}", schema.type_name()));
    by_place_.emplace(at, &schema);
    if (schema.is_boolean()) return {};
    GRISTMILL_TRY(check(schema, at));
    Result<> done;
    const std::size_t before = references_;
    references_ += schema.contains("$ref");
    const bool whole = each_within(schema, at, [&](const Json& inner, const std::string& place) {
      done = collect(inner, place, depth + 1);
      return done.has_value();
    });
    if (!whole) return done;
    referring_ += references_ > before;
    if (referring_ > AnswerSchema::referring_max)
      return bad(at, fmt::format("expected at most {} schemas that refer to others or have such "
                                 "within, got more",
                                 AnswerSchema::referring_max));
    return check_forms(schema, at);
  }

  // References lead to schemas, and whoever follows them comes to something of the answer.
  Result<> check_refs() const {
    for (const auto& [at, schema] : by_place_)
      if (const auto ref = schema->find("$ref"); schema->is_object() && ref != schema->end())
        GRISTMILL_TRY(check_ref(*ref, below(at, "$ref")));
    Lengths done;
    for (const auto& [at, schema] : by_place_) {
      std::set<std::string> path;
      GRISTMILL_TRY(length_from(at, path, done));
    }
    return {};
  }

private:
  using Lengths = std::map<std::string, std::size_t>;

  static tl::unexpected<Error> bad(const std::string& at, std::string_view sentence) {
    return fail(ErrorCode::bad_input,
                fmt::format("at {}: {}", at.empty() ? "the root" : at, sentence));
  }
  static std::string below(const std::string& at, std::string_view name) {
    return (Json::json_pointer{at} / std::string{name}).to_string();
  }

  // False: `use` said so.
  template <class Use>
  static bool each_within(const Json& schema, const std::string& at, const Use& use) {
    for (const auto& [name, value] : schema.items()) {
      const std::string place = below(at, name);
      if (value.is_array() && is_one_of(name, with_list)) {
        for (std::size_t n = 0; n < value.size(); ++n)
          if (!use(value[n], below(place, std::to_string(n)))) return false;
      } else if (is_one_of(name, with_schema)) {
        if (!use(value, place)) return false;
      } else if (value.is_object() && is_one_of(name, with_names)) {
        for (const auto& [key, inner] : value.items())
          if (!inner.is_array() && !use(inner, below(place, key))) return false;
      }
    }
    return true;
  }

  static Result<> check_forms(const Json& schema, const std::string& at) {
    for (const auto& [name, value] : schema.items()) {
      if (is_one_of(name, with_names) && !value.is_object())
        return bad(below(at, name), fmt::format("expected an object, got a {}", value.type_name()));
      if (is_one_of(name, with_list) && !is_one_of(name, with_schema) && !value.is_array())
        return bad(below(at, name),
                   fmt::format("expected a list of schemas, got a {}", value.type_name()));
    }
    return {};
  }

  Result<> check(const Json& schema, const std::string& at) {
    if (schema.contains("patternProperties"))
      return bad(below(at, "patternProperties"),
                 "expected no patternProperties, which are not checked; --no-check sends them");
    if (const auto type = schema.find("type"); type != schema.end()) {
      const bool known = type->is_array() ? std::ranges::all_of(*type, is_type) : is_type(*type);
      if (!known)
        return bad(below(at, "type"),
                   fmt::format("expected a type of JSON, got {}", shown(*type, 60)));
    }
    if (const auto pattern = schema.find("pattern"); pattern != schema.end())
      return check_pattern(*pattern, below(at, "pattern"));
    return {};
  }

  Result<> check_pattern(const Json& pattern, const std::string& at) {
    if (!pattern.is_string()) return bad(at, "expected a string");
    const RE2 re{pattern.get_ref<const std::string&>(), pattern_options()};
    if (!re.ok())
      return bad(at,
                 fmt::format("expected a pattern that RE2 takes, got {}: {}; --no-check sends it",
                             shown(pattern, 100), re.error()));
    pattern_steps_ += re.ProgramSize();
    if (pattern_steps_ > AnswerSchema::pattern_steps_max)
      return bad(at, fmt::format("expected patterns of at most {} instructions of RE2 in all, got "
                                 "more; --no-check sends them",
                                 AnswerSchema::pattern_steps_max));
    return {};
  }

  Result<> check_ref(const Json& ref, const std::string& at) const {
    if (!ref.is_string()) return bad(at, "expected a string");
    const std::string& text = ref.get_ref<const std::string&>();
    const std::string quoted = json::printable(text, 100);
    const bool is_local = text == "#" || text.starts_with("#/");
    if (!is_local || text.find('%') != text.npos)
      return bad(at, fmt::format("expected a place in this schema, # or #/…, got {}", quoted));
    if (!by_place_.contains(text.substr(1)))
      return bad(at, fmt::format("expected the place of a schema, got {}", quoted));
    return {};
  }

  // How many are applied to one value, from this one on, each by the one before: it must not come
  // back to where it was.
  Result<std::size_t> length_from(const std::string& at, std::set<std::string>& path,
                                  Lengths& done) const {
    if (const auto known = done.find(at); known != done.end()) return known->second;
    if (!path.insert(at).second)
      return bad(at,
                 fmt::format("expected every $ref to lead on, got a way back to #{} at the same "
                             "value of an answer",
                             at));
    std::size_t length = 1;
    if (path.size() > AnswerSchema::at_one_value_max) return too_long(at);
    for (const std::string& next : at_same_value(at)) {
      const auto rest = length_from(next, path, done);
      GRISTMILL_TRY(rest);
      length = std::max(length, *rest + 1);
    }
    if (length > AnswerSchema::at_one_value_max) return too_long(at);
    path.erase(at);
    return done[at] = length;
  }

  static tl::unexpected<Error> too_long(const std::string& at) {
    return bad(at, fmt::format("expected at most {} schemas for one value, each within the one "
                               "before or referred to by it, got more",
                               AnswerSchema::at_one_value_max));
  }

  std::vector<std::string> at_same_value(const std::string& at) const {
    std::vector<std::string> next;
    const Json& schema = *by_place_.at(at);
    if (!schema.is_object()) return next;
    if (const auto ref = schema.find("$ref"); ref != schema.end())
      next.push_back(ref->get_ref<const std::string&>().substr(1));
    each_within(schema, at, [&](const Json&, const std::string& place) {
      const std::string word =
          place.substr(at.size() + 1, place.find('/', at.size() + 1) - (at.size() + 1));
      if (is_one_of(word, of_same_value)) next.push_back(place);
      return true;
    });
    return next;
  }

  std::map<std::string, const Json*> by_place_;
  std::size_t references_ = 0, referring_ = 0; // referring: those that have one within
  int pattern_steps_ = 0;
};

// As the library is to see them.
void prepare(Json& schema) {
  if (!schema.is_object()) return;
  for (const std::string_view name : left_out)
    if (const auto it = schema.find(name); it != schema.end() && it->is_string()) schema.erase(it);
  for (auto& [name, value] : schema.items()) {
    if (value.is_array() && is_one_of(name, with_list))
      for (Json& inner : value) prepare(inner);
    else if (is_one_of(name, with_schema))
      prepare(value);
    else if (is_one_of(name, with_names))
      for (Json& inner : value) prepare(inner);
  }
  if (const auto it = schema.find("pattern"); it != schema.end()) {
    Json pattern = std::move(*it);
    schema.erase("pattern");
    schema[std::string{own_pattern}] = std::move(pattern);
  }
  // Draft 2020-12 has other names for it.
  if (const auto it = schema.find("prefixItems"); it != schema.end()) {
    Json first = std::move(*it);
    if (schema.contains("items")) schema["additionalItems"] = schema["items"];
    schema["items"] = std::move(first);
    schema.erase("prefixItems");
  }
  // The library looks at allOf first, and at other words until one fails. Behind what is in it, so
  // that references find their places.
  schema["allOf"].push_back({{std::string{own_step}, true}});
}

} // namespace

RE2::Options pattern_options() {
  RE2::Options options{RE2::Quiet};
  options.set_max_mem(AnswerSchema::pattern_bytes_max);
  return options;
}

Result<Json> prepared_schema(const Json& schema) {
  Schemas schemas;
  GRISTMILL_TRY(schemas.collect(schema, "", 1));
  GRISTMILL_TRY(schemas.check_refs());
  Json prepared = schema;
  prepare(prepared);
  return prepared;
}

} // namespace gristmill::openai
