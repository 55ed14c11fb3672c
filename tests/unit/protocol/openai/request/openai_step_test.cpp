// What a judge is asked: the item's fields, and the answers of the models.
#include "protocol/openai/request/step.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace openai_step_test {

using namespace gristmill;
using namespace gristmill::openai;
using nlohmann::json;

TEST_CASE("a part's number says its model, its level and its place") {
  for (const PartNumber number :
       {PartNumber{0, 0, 0}, PartNumber{62, 30, 7}, PartNumber{1, 0, PartNumber::indices_max - 1},
        PartNumber::judge(PartNumber::models_max)})
    CHECK(PartNumber::of(number.value()) == number);
  CHECK(PartNumber{}.value() == 0);
  CHECK(PartNumber::judge(2).is_judge());
  CHECK_FALSE(PartNumber::judge(2).is_reduce());
  CHECK_FALSE(PartNumber{1, 0, 7}.is_reduce());
  CHECK(PartNumber{0, 1, 0}.is_reduce());
  CHECK(PartNumber{0, 30, 0}.is_reduce());
  CHECK(PartNumber::judge(2).value() > PartNumber{1, 30, 9}.value()); // behind all others
}

TEST_CASE("a step sees the item's own fields beside the answers") {
  JobSpec spec;
  spec.shape.text_field = "body";
  const std::string members = R"("answer.1":"yes")";
  const auto made = [&](ItemKind kind, std::string_view item) {
    return json::parse(step_item(spec, kind, item, members));
  };
  CHECK(made(ItemKind::text, "line one\nline \"two\"") ==
        json{{"answer.1", "yes"}, {"body", "line one\nline \"two\""}});
  CHECK(made(ItemKind::json_object, R"( {"body":"t","n":1} )") ==
        json{{"answer.1", "yes"}, {"body", "t"}, {"n", 1}});
  CHECK(made(ItemKind::json_object, R"({"answer.1":"its own"})") == json{{"answer.1", "yes"}});
  CHECK(made(ItemKind::json_object, "{}") == json{{"answer.1", "yes"}});
  const char* chat = R"({"custom_id":"x","body":{"messages":[{"role":"system","content":"s"},)"
                     R"({"role":"user","content":"first"},{"role":"user","content":)"
                     R"([{"type":"text","text":"last "},{"type":"text","text":"words"}]}]}})";
  CHECK(made(ItemKind::batch_line, chat)["body"] == "last words");
  CHECK(made(ItemKind::batch_line, R"({"body":{"prompt":"p"}})")["body"] == "p");
  CHECK(made(ItemKind::batch_line, R"({"body":{}})")["body"] == "");
}

TEST_CASE("the judge's calls have its own template and no system message") {
  JobSpec spec;
  spec.shape.system = "be brief";
  spec.shape.prompt = "{{text}}";
  spec.shape.judge_model = "j";
  spec.shape.judge_prompt = "Which? {{answer.1}}";
  const CallForms forms{spec};
  CHECK(forms.of({}).spec.shape.prompt == "{{text}}");
  const CallForm& judge = forms.of(PartNumber::judge(2));
  CHECK(judge.spec.shape.prompt == "Which? {{answer.1}}");
  CHECK(judge.spec.shape.models == ModelNames{"j"});
  CHECK(judge.documents.fill(ItemKind::json_object, R"({"answer.1":"A"})")->prompt == "Which? A");
  CHECK(judge.documents.fill(ItemKind::json_object, R"({"answer.1":"A"})")->system.empty());
}

TEST_CASE("what joins the answers to chunks sees all of the item but its text") {
  JobSpec spec;
  spec.shape.text_field = "body";
  const auto made = [&](ItemKind kind, std::string_view item,
                        std::string_view members = R"("answers":"one\n\ntwo")") {
    return json::parse(reduce_item(spec, kind, item, members));
  };
  const json answers{{"answers", "one\n\ntwo"}};
  CHECK(made(ItemKind::text, "a book") == answers);
  CHECK(made(ItemKind::json_object, R"( {"body":"a book"} )") == answers);
  CHECK(made(ItemKind::json_object, "{}") == answers);
  CHECK(made(ItemKind::json_object,
             R"({"n" : [1, {"body":2}],"body":"a","bo\u0064y":"b","ti\"tle":"t"})") ==
        json{{"answers", "one\n\ntwo"}, {"n", {1, {{"body", 2}}}}, {"ti\"tle", "t"}});
  CHECK(made(ItemKind::json_object, R"({"answers":"its own"})") == answers);
  CHECK(made(ItemKind::json_object, R"({"n":1,"body":"a"})", "") == json{{"n", 1}});
  CHECK(reduce_item(spec, ItemKind::text, "a book", "") == "{}");
  const std::string book =
      fmt::format(R"({{"title":"t","body":"{}"}})", std::string(3'000'000, 'x'));
  CHECK(reduce_item(spec, ItemKind::json_object, book, R"("answers":"a")").size() < 100);
}

TEST_CASE("each level that joins answers has its own template, the models of the items, and no "
          "system message") {
  JobSpec spec;
  spec.shape.system = "be brief";
  spec.shape.prompt = "{{chunk}} of {{chunks}}: {{text}}";
  spec.shape.models = {"a", "b"};
  spec.shape.chunk_tokens = 100;
  spec.shape.chunk_overlap = 10;
  spec.shape.reduce_prompt = "As one, of {{title}}: {{answers}}";
  const CallForms forms{spec};
  for (const PartNumber part : {PartNumber{0, 1, 0}, PartNumber{1, 30, 5}}) {
    const CallForm& step = forms.of(part);
    CHECK(step.spec.shape.models == spec.shape.models);
    CHECK(step.spec.shape.chunk_tokens + step.spec.shape.chunk_overlap == 0);
    const auto text =
        step.documents.fill(ItemKind::json_object, R"({"title":"T","answers":"A\n\nB"})");
    REQUIRE(text);
    CHECK(text->prompt == "As one, of T: A\n\nB");
    CHECK(text->system.empty());
  }
  // What a worker gets of a chunk is an object like any other.
  const auto chunk = forms.of({1, 0, 5}).documents.fill(
      ItemKind::json_object, R"({"title":"T","text":"the chunk","chunk":6,"chunks":9})");
  REQUIRE(chunk);
  CHECK(chunk->prompt == "6 of 9: the chunk");
  CHECK(chunk->system == "be brief");
}

} // namespace openai_step_test
