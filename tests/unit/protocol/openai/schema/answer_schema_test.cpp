// Answers against a JSON schema, and schemas that cannot be checked.
#include "protocol/openai/schema/answer_schema.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace answer_schema_test {

using namespace gristmill;
using namespace gristmill::openai;
using Catch::Contains;

namespace {

AnswerSchema schema_of(std::string_view text) {
  auto schema = AnswerSchema::compile(text);
  INFO(text);
  REQUIRE(schema);
  return std::move(*schema);
}

} // namespace

TEST_CASE("an answer that does not fit is named by the place where it does not") {
  struct Row {
    std::string_view schema, fits, does_not, pointer, sentence;
  };
  const Row row = GENERATE(values<Row>({
      {R"({"type":"object"})", "{}", "[]", "", "type"},
      {R"({"required":["a"]})", R"({"a":1})", "{}", "", "'a'"},
      {R"({"properties":{"a":{"type":"integer"}}})", R"({"a":1})", R"({"a":1.5})", "/a", "type"},
      {R"({"properties":{"a/b~":{"type":"null"}}})", "{}", R"({"a/b~":1})", "/a~1b~0", "type"},
      {R"({"properties":{"a":{}},"additionalProperties":false})", R"({"a":1})", R"({"b":1})", "",
       "'b'"},
      {R"({"items":{"enum":["a","b"]}})", R"(["a","b"])", R"(["a","c"])", "/1", "enum"},
      {R"({"minItems":2})", "[1,2]", "[1]", "", "2"},
      {R"({"maxLength":2})", R"("äö")", R"("äöü")", "", "2"},
      {R"({"minimum":3})", "3", "2.9", "", "3"},
      {R"({"anyOf":[{"type":"string"},{"type":"null"}]})", "null", "1", "", ""},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "1.5", "1", "", "exactly one"},
      {R"({"not":{"type":"string"}})", "1", R"("a")", "", "not"},
      {R"({"const":{"a":[1]}})", R"({"a":[1]})", R"({"a":[2]})", "", "const"},
      {R"({"pattern":"^[a-z]+$"})", R"("abc")", R"("aBc")", "", "^[a-z]+$"},
      {R"({"pattern":"b"})", R"("abc")", R"("ac")", "", "pattern"}, // anywhere in it
      {R"({"properties":{"pattern":{"type":"string"}}})", R"({"pattern":"("})", R"({"pattern":1})",
       "/pattern", "type"},
      {R"({"$defs":{"t":{"properties":{"v":{"type":"number"},
          "c":{"items":{"$ref":"#/$defs/t"}}}}},"$ref":"#/$defs/t"})",
       R"({"v":1,"c":[{"v":2,"c":[]}]})", R"({"c":[{},{"c":[{"v":"x"}]}]})", "/c/1/c/0/v", "type"},
      {R"({"properties":{"c":{"$ref":"#"}},"additionalProperties":false})", R"({"c":{"c":{}}})",
       R"({"c":{"c":{"d":1}}})", "/c/c", "'d'"},
      {R"({"type":"string","format":"date"})", R"("no date")", "1", "", "type"},
      {R"({"$id":"http://x/y","$schema":"http://json-schema.org/draft-07/schema#","type":"null"})",
       "null", "1", "", "type"},
      {R"({"prefixItems":[{"type":"string"},{"type":"number"}],"items":false})", R"(["a",1])",
       R"(["a",1,2])", "", ""},
      {R"({"prefixItems":[{"type":"string"}]})", R"(["a",1])", R"([1])", "/0", "type"},
      {R"({"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"type":"null"}},"$ref":"#/$defs/a"})", "null",
       "1", "", "type"},
      {"false", "", "1", "", "fit"},
  }));
  CAPTURE(row.schema);
  const AnswerSchema schema = schema_of(row.schema);
  if (!row.fits.empty()) CHECK_FALSE(schema.check(row.fits));
  const auto misfit = schema.check(row.does_not);
  REQUIRE(misfit);
  CHECK(misfit->pointer == row.pointer);
  CHECK_THAT(misfit->sentence, Contains(std::string{row.sentence}));
}

TEST_CASE("a schema that cannot be checked is refused with the place and what to do") {
  struct Row {
    std::string_view schema, place, sentence;
  };
  const Row row = GENERATE(values<Row>({
      {R"({"type":"objekt"})", "/type", "a type of JSON, got \"objekt\""},
      {R"({"type":["string","no"]})", "/type", "a type of JSON"},
      {R"({"properties":7})", "/properties", "an object, got a number"},
      {R"({"properties":{"a":7}})", "/properties/a", "a schema, got a number"},
      {R"({"allOf":{}})", "/allOf", "a list of schemas"},
      {R"({"required":"a"})", "", "array"},
      {R"({"items":{"$ref":"http://x/y"}})", "/items/$ref", "a place in this schema"},
      {R"({"$ref":"#name"})", "/$ref", "a place in this schema"},
      {R"({"$ref":"#/nowhere"})", "/$ref", "the place of a schema"},
      {R"({"$ref":"#/a","a":7})", "/$ref", "the place of a schema"},
      {R"({"$ref":"#/%61","a":{}})", "/$ref", "a place in this schema"},
      // Nobody looks at what stands under a word that says nothing.
      {R"({"$ref":"#/parts/a","parts":{"a":{"pattern":"(?=a)b"}}})", "/$ref",
       "the place of a schema"},
      {R"({"$ref":"#"})", "the root", "a way back to #"},
      {R"({"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}})", "/$defs/",
       "a way back to #"},
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}})", "",
       "a way back to #"},
      {R"({"anyOf":[{"type":"null"},{"not":{"$ref":"#"}}]})", "", "a way back to #"},
      {R"({"oneOf":[{"$ref":"#"}]})", "", "a way back to #"},
      {R"({"if":{"$ref":"#"}})", "", "a way back to #"},
      {R"({"if":{},"then":{"$ref":"#"}})", "", "a way back to #"},
      {R"({"if":{},"else":{"$ref":"#"}})", "", "a way back to #"},
      {R"({"dependentSchemas":{"a":{"$ref":"#"}}})", "", "a way back to #"},
      {R"({"pattern":"(?=a)b"})", "/pattern", "--no-check"},
      {R"({"pattern":"("})", "/pattern", "RE2"},
      {R"({"pattern":1})", "/pattern", "a string"},
      {R"({"anyOf":[{},{"patternProperties":{}}]})", "/anyOf/1/patternProperties", "--no-check"},
      {"[]", "the root", "a schema"},
      {"no JSON", "", "no JSON"},
  }));
  CAPTURE(row.schema);
  const auto schema = AnswerSchema::compile(row.schema);
  REQUIRE_FALSE(schema);
  CHECK_THAT(schema.error().message, Contains(std::string{row.sentence}));
  CHECK_THAT(schema.error().message, Contains(std::string{row.place}));
}

TEST_CASE("a schema has a bound in levels and in bytes") {
  const auto levels = [](std::size_t count) {
    std::string schema = "{}";
    for (std::size_t n = 1; n < count; ++n) schema = R"({"items":)" + schema + "}";
    return schema;
  };
  CHECK(AnswerSchema::compile(levels(AnswerSchema::depth_max)));
  CHECK_FALSE(AnswerSchema::compile(levels(AnswerSchema::depth_max + 1)));
  const auto bytes = [](std::size_t count) {
    const std::string frame = R"({"title":""})";
    return R"({"title":")" + std::string(count - frame.size(), 'x') + R"("})";
  };
  CHECK(AnswerSchema::compile(bytes(AnswerSchema::bytes_max)));
  CHECK_FALSE(AnswerSchema::compile(bytes(AnswerSchema::bytes_max + 1)));
}

namespace {

// Each refers to the next one, which applies to the same value, or to one within.
std::string chain(std::size_t count, std::string_view link) {
  std::string schema = R"({"$defs":{)";
  for (std::size_t n = 0; n < count; ++n)
    schema += fmt::format(R"("a{}":{},)", n, fmt::format(fmt::runtime(link), n + 1));
  return schema + fmt::format(R"("a{}":{{}}}}}})", count);
}

} // namespace

TEST_CASE("schemas that lead to each other have a bound, or they would take the whole stack") {
  const auto [link, most] = GENERATE(table<std::string_view, std::size_t>({
      {R"({{"$ref":"#/$defs/a{}"}})", AnswerSchema::at_one_value_max - 1},
      {R"({{"properties":{{"x":{{"$ref":"#/$defs/a{}"}}}}}})",
       (AnswerSchema::referring_max - 1) / 2}, // two for each, and the whole
  }));
  CHECK(AnswerSchema::compile(chain(most, link)));
  CHECK_FALSE(AnswerSchema::compile(chain(most + 1, link)));
  CHECK_FALSE(AnswerSchema::compile(chain(4'000, link)));
  CHECK_FALSE(AnswerSchema::compile(chain(4'000, R"({{"allOf":[{{"$ref":"#/$defs/a{}"}}]}})")));
}

TEST_CASE("the deepest answer is checked by the longest schema") {
  std::string schema = chain(AnswerSchema::at_one_value_max - 4, R"({{"$ref":"#/$defs/a{}"}})");
  schema.insert(1, R"("properties":{"c":{"$ref":"#"}},"allOf":[{"$ref":"#/$defs/a0"}],)");
  const AnswerSchema compiled = schema_of(schema);
  std::string answer = "{}";
  for (int n = 1; n < 256; ++n) answer = R"({"c":)" + answer + "}";
  CHECK_FALSE(compiled.check(answer));
}

TEST_CASE("patterns have a bound together") {
  const auto patterns = [](std::size_t count, std::string_view pattern) {
    std::string schema = R"({"anyOf":[)";
    for (std::size_t n = 0; n < count; ++n)
      schema += fmt::format(R"({}{{"pattern":"{}"}})", n == 0 ? "" : ",", pattern);
    return schema + "]}";
  };
  CHECK(AnswerSchema::compile(patterns(1'000, "^[a-z]+-[0-9]{4}$")));
  CHECK_FALSE(AnswerSchema::compile(patterns(5'000, "[^a-z]{50}")));
  CHECK_FALSE(AnswerSchema::compile(patterns(1, R"(\\pL{1000})")));
}

TEST_CASE("a pattern takes a time that grows with the text alone") {
  const AnswerSchema schema = schema_of(R"({"pattern":"^(a+)+$"})");
  CHECK(schema.check('"' + std::string(100'000, 'a') + "b\""));
  CHECK_FALSE(schema.check('"' + std::string(100'000, 'a') + '"'));
}

TEST_CASE("alternatives in alternatives are given up before they take for ever") {
  const AnswerSchema schema =
      schema_of(R"({"anyOf":[{"type":"null"},{"type":"object","properties":{"c":{"$ref":"#"}}},)"
                R"({"type":"object","properties":{"c":{"$ref":"#"}},"maxProperties":1}]})");
  const auto nested = [](std::size_t levels, std::string_view inner) {
    std::string text{inner};
    for (std::size_t n = 0; n < levels; ++n) text = R"({"c":)" + text + "}";
    return text;
  };
  CHECK_FALSE(schema.check(nested(200, "null")));
  const auto misfit = schema.check(nested(200, "1"));
  REQUIRE(misfit);
  CHECK_THAT(misfit->sentence, Contains("steps"));
  CHECK(schema.check(nested(3, "1"))->pointer.starts_with("/c"));
}

TEST_CASE("the schema of a job is that of its response_format, unless it is not to be checked") {
  JobSpec spec;
  CHECK(schema_to_check(spec).empty());
  CHECK(answer_schema_of(spec) == nullptr);
  spec.shape.params = R"({"response_format":{"type":"json_object"}})";
  CHECK(schema_to_check(spec).empty());
  spec.shape.params =
      R"({"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"null"}}}})";
  CHECK(schema_to_check(spec) == R"({"type":"null"})");
  REQUIRE(answer_schema_of(spec) != nullptr);
  CHECK(answer_schema_of(spec)->check("1"));
  spec.policy.no_check = true;
  CHECK(answer_schema_of(spec) == nullptr);
}

} // namespace answer_schema_test
