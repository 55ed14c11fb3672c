// Which calls begin alike.
#include "protocol/job/spec.hpp"
#include "protocol/openai/request/prefix.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace openai_prefix_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

std::uint64_t of_line(const std::string& system, const std::string& question,
                      const std::string& more = "") {
  return prefix_of(
      {}, ItemKind::batch_line,
      fmt::format(R"({{"custom_id":"{}","url":"/v1/chat/completions","body":{{{}"messages":)"
                  R"([{{"role":"system","content":"{}"}},{{"role":"user","content":"{}"}}]}}}})",
                  question, more, system, question));
}

} // namespace

TEST_CASE("Lines whose messages begin alike have one prefix, whatever else they say", "[prefix]") {
  const std::string shared(prefix_bytes, 's');
  CHECK(of_line(shared, "a") != 0);
  CHECK(of_line(shared, "a") == of_line(shared, "b"));
  CHECK(of_line(shared, "a") == of_line(shared, "b", R"("temperature":1,)"));
  CHECK(of_line(shared, "a") != of_line("t" + shared, "a"));
  CHECK(of_line("short", "a") == 0);
}

TEST_CASE("A prefix needs its whole length", "[prefix]") {
  const auto of_prompt = [](std::size_t bytes) {
    return prefix_of({}, ItemKind::batch_line,
                     fmt::format(R"({{"url":"/v1/completions","body":{{"prompt":"{}"}}}})",
                                 std::string(bytes - 2, 'p')));
  };
  CHECK(of_prompt(prefix_bytes - 1) == 0);
  CHECK(of_prompt(prefix_bytes) != 0);
  CHECK(of_prompt(prefix_bytes + 1) == of_prompt(prefix_bytes + 2)); // what follows is cut off
}

TEST_CASE("Documents begin with the system text and the prompt", "[prefix]") {
  JobSpec spec;
  const std::string about(2'000, 'a');
  const auto of = [&](std::string_view raw) { return prefix_of(spec, ItemKind::json_object, raw); };
  spec.shape.prompt = "{{context}} Question: {{text}}";
  const auto raw = [](const std::string& context, const std::string& question) {
    return fmt::format(R"({{"id":"{}","context":"{}","text":"{}"}})", question, context, question);
  };
  CHECK(of(raw(about, "x")) == of(raw(about, "y")));
  CHECK(of(raw(about, "x")) != of(raw("b" + about, "x")));
  CHECK(of(raw("short", "x")) == 0);
  spec.shape.system = about;
  CHECK(of(raw("short", "x")) == of(raw("other", "y")));
  CHECK(of(raw("short", "x")) != 0);
  spec.shape.task = Task::embed;
  CHECK(of(raw(about, "x")) == 0);
  CHECK(prefix_of({}, ItemKind::text, about) != 0);
  CHECK(prefix_of({}, ItemKind::text, "short") == 0);
}

} // namespace openai_prefix_test
