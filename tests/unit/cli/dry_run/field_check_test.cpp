// A prompt without a field is refused with the fields that there are; a forgotten brace is told.
#include "cli/dry_run/field_check.hpp"

#include "cli/inputs.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <fstream>

namespace field_check_test {

using namespace gristmill;
using namespace gristmill::cli;

namespace {

FieldCheck checked(const std::string& prompt, const std::string& name, std::string_view content,
                   bool no_field_needed = false) {
  const store_test::TempDirectory temp;
  std::ofstream{temp / name, std::ios::binary} << content;
  JobSpec spec;
  spec.inputs = found_inputs({temp / name}, "").value();
  spec.shape.prompt = prompt;
  spec.policy.no_field_needed = no_field_needed;
  return check_fields(spec).value();
}

constexpr const char* objects = "not json\n{\"id\":\"a\",\"title\":\"x\"}\n";

} // namespace

TEST_CASE("a template without a field is refused with the fields that there are") {
  for (const char* prompt : {"Summarise {title}", "Summarise.", "\\{{title}}", "<title> %s"}) {
    CAPTURE(prompt);
    CHECK_THAT(checked(prompt, "a.jsonl", objects).refusal,
               Catch::StartsWith("--prompt: expected a field") &&
                   Catch::Contains("a.jsonl:2 has the fields \"id\", \"title\"") &&
                   Catch::Contains("--no-field-needed"));
    CHECK(checked(prompt, "a.jsonl", objects, true).refusal.empty());
  }
  CHECK_THAT(checked("x", "a.csv", "id;body\n1;y\n").refusal,
             Catch::Contains("the fields \"id\", \"body\""));
  CHECK_THAT(checked("x", "a.txt", "text").refusal, Catch::Contains("only field is {{text}}"));
  CHECK_THAT(checked("x", "a.jsonl",
                     R"({"custom_id":"a","method":"POST","url":"/v1/responses","body":{}})")
                 .refusal,
             Catch::Contains("which no prompt changes"));
  CHECK_THAT(checked("x", "a.jsonl", "bad\n").refusal, Catch::Contains("got none"));
  CHECK(checked("{{title}}", "a.jsonl", objects).refusal.empty());
  CHECK(checked("", "a.jsonl", objects).refusal.empty());
}

TEST_CASE("a field in single braces beside others is spoken of") {
  const auto note = [](const std::string& prompt) {
    return checked(prompt, "a.jsonl", objects).note;
  };
  CHECK_THAT(note("{{id}}: {title}"), Catch::Contains("{title} is sent as it stands") &&
                                          Catch::Contains("that is {{title}}"));
  CHECK(note("{{id}}: ${title}").find("{title}") != std::string::npos);
  CHECK(note("{{title}} as {title}").empty()); // it is sent all the same
  CHECK(note("{{title}} as {\"title\": 1} and {other}").empty());
  CHECK(checked("{{text}} {text}", "a.txt", "x").note.empty());
}

TEST_CASE("names in single braces") {
  using Names = std::vector<std::string>;
  CHECK(names_in_single_braces("{a} {{b}} ${c_1} {a} { d } {} {\"e\":1} {f") == Names{"a", "c_1"});
  CHECK(names_in_single_braces("{{{g}}} {h}} {{i}").empty());
}

} // namespace field_check_test
