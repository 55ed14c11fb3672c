// How a job may divide its documents, and what is refused with which sentence.
#include "protocol/limits.hpp"
#include "protocol/rules/job_faults.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <functional>

namespace chunk_faults_test {

using namespace gristmill;

namespace {

using Lines = std::vector<std::string>;

JobSpec valid() {
  JobSpec spec;
  spec.inputs = {{"/in.txt", "in.txt"}};
  spec.shape.chunk_tokens = 1'000;
  spec.shape.prompt = "Chunk {{chunk}} of {{chunks}}: {{text}}";
  return spec;
}

JobSpec reduced() {
  JobSpec spec = valid();
  spec.shape.reduce_prompt = "Of {{title}}, as one: {{answers}}";
  return spec;
}

Lines with(const std::function<void(RequestShape&)>& change, JobSpec spec = valid()) {
  change(spec.shape);
  return faults_of(spec);
}

} // namespace

TEST_CASE("A job in chunks without a fault", "[chunk_faults]") {
  CHECK(faults_of(valid()).empty());
  CHECK(faults_of(reduced()).empty());
  CHECK(with([](RequestShape& s) { s.prompt.clear(); }).empty()); // the document itself
  CHECK(with([](RequestShape& s) {
          s.prompt = "Sum it up.";
          s.system = "{{text}}";
        }).empty());
  CHECK(with([](RequestShape& s) {
          s.text_field = "body";
          s.prompt = "{{body}}"; // by its name
        }).empty());
  CHECK(with([](RequestShape& s) { s.task = Task::embed; }).empty());
  CHECK(with(
            [](RequestShape& s) {
              s.task = Task::classify;
              s.labels = {"a", "b"};
            },
            reduced())
            .empty());
  CHECK(with(
            [](RequestShape& s) {
              s.models = {"a", "b"};
              s.judge_model = "j";
              s.judge_prompt = "{{text}}: {{answer.1}} or {{answer.2}}?";
            },
            reduced())
            .empty());
}

TEST_CASE("The size of a chunk and of what it repeats have bounds", "[chunk_faults]") {
  const auto sized = [](std::uint32_t tokens, std::uint32_t overlap) {
    return with([&](RequestShape& s) {
      s.chunk_tokens = tokens;
      s.chunk_overlap = overlap;
    });
  };
  for (const std::uint32_t tokens : {limits::chunk_tokens_min, limits::chunk_tokens_max}) {
    CHECK(sized(tokens, 0).empty());
    CHECK(sized(tokens, tokens / 2).empty());
    CHECK(sized(tokens, tokens / 2 + 1) ==
          Lines{fmt::format("--chunk-overlap: expected at most half of --chunk-tokens {}, got {}",
                            tokens, tokens / 2 + 1)});
  }
  CHECK(sized(33, 16).empty());
  CHECK(sized(33, 17) ==
        Lines{"--chunk-overlap: expected at most half of --chunk-tokens 33, got 17"});
  CHECK(sized(100, 4'294'967'295) ==
        Lines{"--chunk-overlap: expected at most half of --chunk-tokens 100, got 4294967295"});
  CHECK(sized(15, 0) == Lines{"--chunk-tokens: expected 16 to 16777216, got 15"});
  CHECK(sized(1, 1) == Lines{"--chunk-tokens: expected 16 to 16777216, got 1"});
  CHECK(sized(16'777'217, 0) == Lines{"--chunk-tokens: expected 16 to 16777216, got 16777217"});
}

TEST_CASE("What makes no sense of chunks is named", "[chunk_faults]") {
  struct Row {
    std::function<void(RequestShape&)> change;
    const char* fault;
  };
  const auto row = GENERATE(values<Row>({
      {[](RequestShape& s) {
         s.chunk_tokens = 0;
         s.chunk_overlap = 10;
         s.reduce_prompt.clear();
       },
       "--chunk-overlap: expected --chunk-tokens N beside it, which divides documents, got none"},
      {[](RequestShape& s) { s.chunk_tokens = 0; },
       "--reduce-prompt: expected --chunk-tokens N beside it, which divides documents, got none"},
      {[](RequestShape& s) { s.task = Task::embed; },
       "--reduce-prompt: expected --task chat or classify with it, because vectors are averaged, "
       "got --task embed"},
      {[](RequestShape& s) { s.reduce_prompt = "Sum up {{title}}."; },
       "--reduce-prompt: expected {{answers}} in the template, got none, so that no answer would "
       "be seen"},
      {[](RequestShape& s) { s.reduce_prompt = "{{answers}} of {{text}}"; },
       "--reduce-prompt: expected no document in the template, because it does not fit; "
       "{{answers}} stand for it, got \"{{text}}\""},
      {[](RequestShape& s) {
         s.text_field = "body";
         s.reduce_prompt = "{{answers}} of {{body}}";
       },
       "--reduce-prompt: expected no document in the template, because it does not fit; "
       "{{answers}} stand for it, got \"{{body}}\""},
      {[](RequestShape& s) { s.reduce_prompt = "{{answers}} and {{answer.1}}"; },
       "--reduce-prompt: expected {{answers}}, which are those to several chunks of one model, got "
       "\"{{answer.1}}\""},
      {[](RequestShape& s) { s.reduce_prompt = "{{answers"; },
       "--reduce-prompt: expected a template, got expected \"}}\" after \"{{\" in the template, "
       "got its end ({{answers); \\{{ stands for braces that are meant"},
      {[](RequestShape& s) { s.prompt = "Sum up {{title}}, {{chunk}} of {{chunks}}"; },
       "--prompt: expected {{text}} in the template with --chunk-tokens, because it is the chunk, "
       "got none, so that every chunk would ask the same"},
      {[](RequestShape& s) { s.prompt = "Sum up {text}"; },
       "--prompt: expected {{text}} in the template with --chunk-tokens, because it is the chunk, "
       "got none, so that every chunk would ask the same"},
      {[](RequestShape& s) { s.text_field = "chunks"; },
       "--text-field: expected another name than chunk, chunks and answers with --chunk-tokens; "
       "rename the field, got \"chunks\""},
  }));
  CHECK(with(row.change, reduced()) == Lines{row.fault});
}

TEST_CASE("Nobody needs to ask the same of every chunk", "[chunk_faults]") {
  JobSpec spec = valid();
  spec.shape.prompt = "Sum it up.";
  spec.policy.no_field_needed = true;
  CHECK(faults_of(spec).size() == 1);
}

} // namespace chunk_faults_test
