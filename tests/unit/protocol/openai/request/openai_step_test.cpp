// What a judge is asked: the item's fields, and the answers of the models.
#include "protocol/openai/request/step.hpp"

#include <catch2/catch.hpp>
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

} // namespace openai_step_test
