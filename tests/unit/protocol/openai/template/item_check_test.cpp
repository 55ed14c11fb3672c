// What an item must have for a job's templates, where its documents are divided into chunks.
#include "protocol/openai/template/item_check.hpp"

#include <catch2/catch.hpp>

namespace item_check_test {

using namespace gristmill;
using namespace gristmill::openai;
using Catch::Contains;
using Catch::EndsWith;

namespace {

JobSpec in_chunks() {
  JobSpec spec;
  spec.shape.chunk_tokens = 1'000;
  spec.shape.prompt = "{{chunk}} of {{chunks}}: {{text}}";
  return spec;
}

std::string of_object(const JobSpec& spec, std::string_view object) {
  return ItemCheck{spec}.fault_of_object(object).why;
}
std::string of_text(const JobSpec& spec, std::string_view text = "a text") {
  return ItemCheck{spec}.fault_of_text(text).why;
}

} // namespace

TEST_CASE("a chunk's number and their count are asked of no item, but only of chunks",
          "[item_check]") {
  JobSpec spec = in_chunks();
  CHECK(of_object(spec, R"({"text":"t"})").empty());
  CHECK(of_object(spec, R"({"text":"t","chunk":"its own"})").empty());
  CHECK(of_text(spec).empty());
  spec.shape.chunk_tokens = 0;
  CHECK_THAT(of_object(spec, R"({"text":"t"})"), Contains("expected the field \"chunk\""));
  CHECK_THAT(of_text(spec), EndsWith("no fields, got {{chunk}}"));
}

TEST_CASE("a chunk has text, and its item the other fields", "[item_check]") {
  JobSpec spec = in_chunks();
  spec.shape.system = "Of {{title}}";
  CHECK(of_object(spec, R"({"text":"t","title":""})").empty());
  CHECK_THAT(of_object(spec, R"({"text":"t"})"), Contains("\"title\""));
  CHECK_THAT(of_object(spec, R"({"title":"t"})"), Contains("\"text\""));
  CHECK_THAT(of_object(spec, R"({"text":" ","title":"t"})"), Contains("only space"));
  CHECK(of_text(spec) == "expected only {{text}}, {{chunk}} and {{chunks}} in the template, "
                         "because a text document has no fields, got {{title}}");
  spec.shape.system.clear();
  CHECK(ItemCheck{spec}.fault_of_text(" \n").blank);
}

TEST_CASE("what a step names beside answers is asked of the item before the first call",
          "[item_check]") {
  JobSpec spec = in_chunks();
  spec.shape.reduce_prompt = "{{answers}} are of {{title}}";
  CHECK(of_object(spec, R"({"text":"t","title":"x"})").empty());
  CHECK_THAT(of_object(spec, R"({"text":"t","answers":"x"})"),
             Contains("expected the field \"title\"") && EndsWith(" (--reduce-prompt)"));
  CHECK(of_text(spec) == "expected only {{answers}} in the template, because a text document has "
                         "no fields, got {{title}} (--reduce-prompt)");
  spec.shape.reduce_prompt = "As one: {{answers}}";
  CHECK(of_text(spec).empty());
  // The judge has other names for what it sees.
  spec.shape.judge_prompt = "{{answer.1}} of {{text}} by {{author}}";
  CHECK_THAT(of_object(spec, R"({"text":"t","answer.1":"x"})"),
             Contains("\"author\"") && EndsWith(" (--judge-prompt)"));
  CHECK_THAT(of_text(spec), EndsWith("got {{author}} (--judge-prompt)"));
  spec.shape.judge_prompt = "{{answers}}";
  CHECK_THAT(of_object(spec, R"({"text":"t"})"), Contains("\"answers\""));
}

TEST_CASE("a batch line is not divided", "[item_check]") {
  JobSpec spec = in_chunks();
  CHECK(ItemCheck{spec}.fault_of_line("/chat/completions") ==
        "expected a document with --chunk-tokens, got a batch line, whose request is whole; give "
        "documents, or leave --chunk-tokens out");
  spec.shape.chunk_tokens = 0;
  CHECK(ItemCheck{spec}.fault_of_line("/chat/completions").empty());
  spec.shape.judge_prompt = "{{answer.1}} {{title}}";
  CHECK_THAT(ItemCheck{spec}.fault_of_line("/chat/completions"), EndsWith("got {{title}}"));
}

} // namespace item_check_test
