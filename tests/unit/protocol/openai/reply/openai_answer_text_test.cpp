// What a model says, told apart from what it thinks.
#include "protocol/openai/reply/answer_text.hpp"

#include <catch2/catch.hpp>

namespace openai_answer_text_test {

using namespace gristmill;
using namespace gristmill::openai;

TEST_CASE("Thoughts are no part of what a model says", "[answer_text]") {
  const auto [text, said] = GENERATE(table<const char*, const char*>({
      {"spam", "spam"},
      {"<think>ham?</think>spam", "spam"},
      {"spam<think>ham?</think>", "spam"},
      {"a<think>b</think>c<think>d</think>e", "ace"},
      {"ham?</think>spam", "spam"},
      {"<think>ham", ""},
      {"spam <think>ham", "spam "},
      {"<think>a<think>b</think>c</think>spam", "spam"},
      {"<THINK>ham</Think>spam", "spam"},
      {"<thinking>ham</thinking>spam", "spam"},
      {"[THINK]ham[/THINK]spam", "spam"},
      {"<thinks>spam", "<thinks>spam"},
      {"", ""},
  }));
  CAPTURE(text);
  CHECK(without_thoughts(text) == said);
}

TEST_CASE("Thoughts have other marks, too, and templates leave theirs", "[answer_text]") {
  const char* said = GENERATE("◁think▷spam?◁/think▷ham", "<seed:think>spam</seed:think>ham",
                              "<|START_THINKING|>spam<|END_THINKING|><|START_RESPONSE|>ham"
                              "<|END_RESPONSE|>",
                              "<|channel|>analysis<|message|>spam<|end|><|start|>assistant"
                              "<|channel|>final<|message|>ham<|return|>",
                              "<|channel>thought\nspam<channel|>ham",
                              "<analysis>spam</analysis>ham", "<|channel|>final<|message|>ham");
  CHECK(without_thoughts(said) == "ham");
  CHECK(without_thoughts("<|channel|>analysis<|message|>spam") == "");
  CHECK(without_thoughts("a <| b |> <|x|>") == "a <| b |> <|x|>");
}

TEST_CASE("A million marks of thoughts are read in one pass", "[answer_text]") {
  std::string many;
  for (int i = 0; i < 300'000; ++i) many += "<think></think>";
  CHECK(without_thoughts(many + "spam") == "spam");
  std::string ends;
  for (int i = 0; i < 300'000; ++i) ends += "</think>";
  CHECK(without_thoughts(ends + "spam") == "spam");
}

TEST_CASE("The fence around a whole text goes", "[answer_text]") {
  CHECK(without_fence("```json\n{}\n```") == "{}");
  CHECK(without_fence(" ```\n{}\n``` \n") == "{}");
  CHECK(without_fence("{}") == "{}");
  CHECK(without_fence("```") == "```");
  CHECK(without_fence("```\n```") == "");
  CHECK(without_fence("text ```\n{}\n```") == "text ```\n{}\n```");
}

} // namespace openai_answer_text_test
