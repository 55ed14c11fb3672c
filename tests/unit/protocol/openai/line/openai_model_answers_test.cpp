// Lines of items that several models were asked, and of those with a judge.
#include "protocol/openai/line/model_answers.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/line/joined_line.hpp"
#include "protocol/part_number.hpp"
#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

namespace openai_model_answers_test {

using namespace gristmill;
using namespace gristmill::openai;
using Json = nlohmann::ordered_json;

namespace {

struct Part {
  OutcomeClass cls = OutcomeClass::ok;
  std::string line;
  std::uint32_t number = 0;
};

std::uint32_t of_model(std::uint32_t model, std::uint32_t index = 0) {
  return PartNumber{model, 0, index}.value();
}
std::uint32_t of_judge(std::uint32_t models) {
  return PartNumber::judge(models).value();
}

// Model 0 is "a" at http://a, …; a judge is named after its place, too.
Provenance about_of(std::uint32_t number) {
  const std::string name(1, static_cast<char>('a' + PartNumber::of(number).model));
  Provenance about{"in.jsonl:7", 1 + PartNumber::of(number).model, name, "http://" + name, 10};
  about.latency_ms = 100 * about.attempts;
  about.item = 6;
  about.part = number;
  return about;
}

Part answered(std::uint32_t number, std::string body, const std::string& label = "") {
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  reply.request_id = fmt::format("req-{}", number);
  reply.body = std::move(body);
  Provenance about = about_of(number);
  about.label = label;
  return {OutcomeClass::ok, result_line(JobId{3}, "x", reply, about), number};
}

std::string chat(const std::string& text) {
  return fmt::format(R"({{"choices":[{{"index":0,"message":{{"role":"assistant","content":{}}}}}],)"
                     R"("usage":{{"cost":2}}}})",
                     Json(text).dump());
}

Part said(std::uint32_t number, const std::string& text) {
  return answered(number, chat(text));
}
Part labelled(std::uint32_t number, const std::string& label) {
  return answered(number, chat("It is " + label), label);
}

Part failed(std::uint32_t number, OutcomeClass cls, std::string code, std::string message,
            std::uint16_t http_status = 0, std::string body = "") {
  protocol::Reply reply;
  reply.cls = cls;
  reply.http_status = http_status;
  reply.code = std::move(code);
  reply.message = std::move(message);
  reply.body = std::move(body);
  return {cls, result_line(JobId{3}, "x", reply, about_of(number)), number};
}

std::vector<PartText> texts_of(const std::vector<Part>& parts) {
  std::vector<PartText> texts;
  for (const Part& part : parts) texts.push_back({part.cls, part.line, part.number});
  return texts;
}

JoinedLine joined(const std::vector<Part>& parts) {
  const Provenance about{"in.jsonl:7", 0, "", "", 0, false, 6, R"({"k":[1.50]})"};
  JoinedLine joined =
      joined_line(JobId{3}, "id \"1\"", about, texts_of(parts), limits::line_bytes_max);
  CHECK(joined.line.find('\n') == std::string::npos);
  CHECK(json::check(joined.line));
  const auto read = check_result_line(joined.line);
  REQUIRE(read);
  CHECK(read->item == 6);
  CHECK_FALSE(read->part);
  const auto checked = check_joined_line(joined.line, texts_of(parts));
  CHECK((checked ? "" : checked.error().message) == "");
  return joined;
}

Json json_of(const std::vector<Part>& parts) {
  return Json::parse(joined(parts).line);
}

// The line with something else in it, under a checksum that is not looked at.
std::string why_wrong(const std::vector<Part>& parts, const Json& line) {
  const auto checked = check_joined_line(line.dump(), texts_of(parts));
  return checked ? "" : checked.error().message;
}

} // namespace

TEST_CASE("each model's answer stands in the order of the models, and the first is the response") {
  const auto line = json_of({said(of_model(0), "one \"é\"\n"), said(of_model(1), "two")});
  const std::string first = chat("one \"é\"\n");
  CHECK(line["id"] == "batch_req_3_6");
  CHECK(line["custom_id"] == "id \"1\"");
  CHECK(line["error"].is_null());
  CHECK(line["response"] ==
        Json{{"status_code", 200}, {"request_id", "req-0"}, {"body", Json::parse(first)}});
  Json ours = line["gristmill"];
  ours.erase("crc");
  CHECK(ours == Json{{"source", "in.jsonl:7"},
                     {"input", {{"k", {1.5}}}},
                     {"attempts", 3},
                     {"model", "a"},
                     {"endpoint", "http://a"},
                     {"latency_ms", 200},
                     {"cached", false},
                     {"answers", Json::array({{{"model", "a"},
                                               {"endpoint", "http://a"},
                                               {"attempts", 1},
                                               {"latency_ms", 100},
                                               {"response", line["response"]},
                                               {"error", nullptr}},
                                              {{"model", "b"},
                                               {"endpoint", "http://b"},
                                               {"attempts", 2},
                                               {"latency_ms", 200},
                                               {"response",
                                                {{"status_code", 200},
                                                 {"request_id", fmt::format("req-{}", of_model(1))},
                                                 {"body", Json::parse(chat("two"))}}},
                                               {"error", nullptr}}})},
                     {"item", 6}});
  CHECK(joined({said(of_model(0), "one"), said(of_model(1), "two")}).code.empty());
}

TEST_CASE("answers of several models keep each byte, whatever they are") {
  const std::string first = R"({"data":[{"embedding":[1.50,-0.0,2e-3]}]})", second = R"({ })";
  const JoinedLine line = joined({answered(of_model(0), first), answered(of_model(1), second)});
  const auto count = [&](const std::string& text) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = line.line.find(text, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  CHECK(count(R"("body":)" + first + "}") == 2);
  CHECK(count(R"("body":)" + second + "}") == 1);
}

TEST_CASE("parts of one model are joined as ever, whatever they are numbered from") {
  std::vector<Part> parts{said(0, "a"), said(1, "b")};
  const JoinedLine line = joined(parts);
  CHECK_FALSE(Json::parse(line.line)["gristmill"].contains("answers"));
  for (Part& part : parts) part.number = 0;
  CHECK(joined(parts).line == line.line);
}

TEST_CASE("with a judge one model is several, and the judge's answer is none of the answers") {
  const auto line = json_of({said(of_model(0), "one"), said(of_judge(1), "good")});
  CHECK(line["response"]["body"] == Json::parse(chat("one")));
  CHECK(line["gristmill"]["answers"].size() == 1);
  const Json judge = line["gristmill"]["judge"];
  CHECK(judge["model"] == "b");
  CHECK(judge["attempts"] == 2);
  CHECK(judge["error"].is_null());
  CHECK(judge["response"]["body"] == Json::parse(chat("good")));
  CHECK(line["gristmill"]["attempts"] == 3);
}

TEST_CASE("a model's parts are joined before its answer stands beside the others") {
  const auto line =
      json_of({said(of_model(0, 0), "one "), said(of_model(0, 1), "whole"),
               said(of_model(1, 0), "a "), said(of_model(1, 1), "b "), said(of_model(1, 2), "c")});
  const auto text = [](const Json& response) {
    CHECK(response["status_code"] == 200);
    return response["body"]["choices"][0]["message"]["content"].get<std::string>();
  };
  CHECK(text(line["response"]) == "one whole");
  const Json answers = line["gristmill"]["answers"];
  REQUIRE(answers.size() == 2);
  CHECK(text(answers[0]["response"]) == "one whole");
  CHECK(text(answers[1]["response"]) == "a b c");
  CHECK(answers[0]["attempts"] == 2);
  CHECK(answers[1]["attempts"] == 6);
  CHECK(answers[1]["latency_ms"] == 200);
}

TEST_CASE("an item that one model failed has failed, and the first model's response still stands") {
  const JoinedLine made = joined({said(of_model(0), "one"),
                                  failed(of_model(1), OutcomeClass::too_long, "context", "no"),
                                  failed(of_model(2), OutcomeClass::policy, "filtered", "never")});
  CHECK(made.cls == OutcomeClass::too_long);
  CHECK(made.code == "model_failed");
  const auto line = Json::parse(made.line);
  CHECK(line["response"]["body"] == Json::parse(chat("one")));
  CHECK(line["error"] ==
        Json{{"code", "model_failed"}, {"message", "model \"b\" failed: context: no"}});
  CHECK(line["gristmill"]["class"] == "too_long");
  CHECK_FALSE(line["gristmill"].contains("code"));
  const Json answers = line["gristmill"]["answers"];
  REQUIRE(answers.size() == 3);
  CHECK(answers[0]["error"].is_null());
  CHECK(answers[1]["response"].is_null());
  CHECK(answers[1]["error"] == Json{{"code", "context"}, {"message", "no"}});
  CHECK(answers[2]["error"] == Json{{"code", "filtered"}, {"message", "never"}});
}

TEST_CASE("without the first model's answer there is no response, and the others' stand") {
  const std::string body = R"({"error":{"code":"bad","message":"your fault"}})";
  const auto line =
      json_of({failed(of_model(0), OutcomeClass::bad_line, "bad", "your fault", 400, body),
               said(of_model(1), "two")});
  CHECK(line["response"].is_null());
  CHECK(line["error"]["message"] == "model \"a\" failed: bad: your fault");
  const Json answers = line["gristmill"]["answers"];
  CHECK(answers[0]["response"]["status_code"] == 400);
  CHECK(answers[0]["response"]["body"] == Json::parse(body));
  CHECK(answers[0]["error"] == Json{{"code", "bad"}, {"message", "your fault"}});
  CHECK(answers[1]["response"]["body"] == Json::parse(chat("two")));
}

TEST_CASE("a failed judge fails the item under a code of its own; cancelled ones are cancelled") {
  const JoinedLine judge = joined({said(of_model(0), "one"), said(of_model(1), "two"),
                                   failed(of_judge(2), OutcomeClass::timeout, "timeout", "late")});
  CHECK(judge.cls == OutcomeClass::timeout);
  CHECK(judge.code == "judge_failed");
  const auto line = Json::parse(judge.line);
  CHECK(line["error"]["message"] == "the judge \"c\" failed: timeout: late");
  CHECK(line["gristmill"]["judge"]["error"]["code"] == "timeout");
  CHECK(line["gristmill"]["judge"]["response"].is_null());
  CHECK(line["response"]["status_code"] == 200);

  const JoinedLine cancelled =
      joined({said(of_model(0), "one"),
              failed(of_model(1), OutcomeClass::cancelled, "cancelled", "the job was cancelled")});
  CHECK(cancelled.cls == OutcomeClass::cancelled);
  CHECK(cancelled.code == "cancelled");
  CHECK(Json::parse(cancelled.line)["error"] ==
        Json{{"code", "cancelled"},
             {"message", "model \"b\" failed: cancelled: the job was cancelled"}});
}

TEST_CASE("a model that failed in one of its parts is said to have failed in that one") {
  const auto line =
      json_of({said(of_model(0, 0), "one"), said(of_model(0, 1), "two"), said(of_model(1, 0), "x"),
               failed(of_model(1, 1), OutcomeClass::too_long, "context", "long"),
               failed(of_model(1, 2), OutcomeClass::policy, "filtered", "")});
  CHECK(line["error"]["message"] == "model \"b\" failed: context: part 2 of 3: long");
  CHECK(line["gristmill"]["answers"][1]["error"] ==
        Json{{"code", "context"}, {"message", "part 2 of 3: long"}});
  CHECK(line["gristmill"]["answers"][1]["response"].is_null());
  CHECK(line["response"]["body"]["choices"][0]["message"]["content"] == "onetwo");
}

TEST_CASE("who was never called has no name in its line and is told by its place") {
  std::vector<Part> parts{failed(of_model(0), OutcomeClass::config, "model_not_served", "no"),
                          said(of_model(1), "two")};
  protocol::Reply reply;
  reply.cls = OutcomeClass::config;
  reply.code = "model_not_served";
  Provenance nameless;
  nameless.part = 0;
  parts[0].line = result_line(JobId{3}, "x", reply, nameless);
  const auto line = json_of(parts);
  CHECK_THAT(line["error"]["message"].get<std::string>(),
             Catch::StartsWith("model 1 failed: model_not_served"));
  CHECK(line["gristmill"]["model"] == "");
  CHECK(line["gristmill"]["endpoint"] == "");
  CHECK(line["gristmill"]["answers"][0]["model"] == "");
}

TEST_CASE(
    "most votes give the label, as many for two of them none, and a judge has the last word") {
  using Strings = std::vector<std::string>; // empty = the model failed
  struct Row {
    Strings labels;
    std::optional<std::string> judge;
    Json label;
    const char* votes; // empty = none
    bool tie;
  };
  const auto row = GENERATE(values<Row>({
      {{"x", "x"}, {}, "x", R"({"x":2})", false},
      {{"y", "x", "x"}, {}, "x", R"({"y":1,"x":2})", false},
      {{"x", "y"}, {}, nullptr, R"({"x":1,"y":1})", true},
      {{"x", "y", "y", "x", "z"}, {}, nullptr, R"({"x":2,"y":2,"z":1})", true},
      {{"x", "y", "z", "z"}, {}, "z", R"({"x":1,"y":1,"z":2})", false},
      {{"x", "x", "y", "z"}, {}, "x", R"({"x":2,"y":1,"z":1})", false},
      {{"x", "", "y", "y"}, {}, "y", R"({"x":1,"y":2})", false},
      {{"", "x"}, {}, "x", R"({"x":1})", false},
      {{"x", "y"}, "y", "y", R"({"x":1,"y":1})", true},
      {{"x", "x"}, "y", "y", R"({"x":2})", false},
      {{"x", "y"}, "", nullptr, R"({"x":1,"y":1})", true},
      {{"\"q\"", "Ü"}, {}, nullptr, R"({"\"q\"":1,"Ü":1})", true},
      {{"Yes", "yes", "no"}, {}, "Yes", R"({"Yes":2,"no":1})", false},
      {{"", ""}, {}, "none", "", false},
  }));
  CAPTURE(row.labels, row.judge.value_or("-"));
  std::vector<Part> parts;
  const auto add = [&](std::uint32_t number, const std::string& label) {
    parts.push_back(label.empty() ? failed(number, OutcomeClass::bad_result, "no_label", "none")
                                  : labelled(number, label));
  };
  for (std::uint32_t n = 0; n < row.labels.size(); ++n) add(of_model(n), row.labels[n]);
  if (row.judge) add(of_judge(static_cast<std::uint32_t>(row.labels.size())), *row.judge);
  const Json ours = json_of(parts)["gristmill"];
  CHECK(ours.contains("votes") == (std::string_view{row.votes} != ""));
  if (ours.contains("votes")) CHECK(ours["votes"].dump() == row.votes);
  CHECK(ours.contains("label") == (row.label != "none"));
  if (ours.contains("label")) CHECK(ours["label"] == row.label);
  CHECK(ours.contains("tie") == row.tie);
  if (row.tie) CHECK(ours["tie"] == true);
  for (std::size_t n = 0; n < row.labels.size(); ++n) {
    CHECK(ours["answers"][n].contains("label") == !row.labels[n].empty());
    if (!row.labels[n].empty()) CHECK(ours["answers"][n]["label"] == row.labels[n]);
  }
}

TEST_CASE("as many models as a job may have, and their judge, stand in one line") {
  const std::uint32_t models =
      GENERATE(PartNumber::models_max - 1, PartNumber::models_max); // one more is refused before
  std::vector<Part> parts;
  for (std::uint32_t n = 0; n < models; ++n) parts.push_back(labelled(of_model(n), "x"));
  parts.push_back(labelled(of_judge(models), "y"));
  const Json ours = json_of(parts)["gristmill"];
  CHECK(ours["answers"].size() == models);
  CHECK(ours["answers"][models - 1]["attempts"] == models);
  CHECK(ours["votes"] == Json{{"x", models}});
  CHECK(ours["label"] == "y");
  CHECK(ours["judge"]["attempts"] == models + 1);
}

TEST_CASE("a line that says of a model what its parts do not say is found") {
  const std::vector<Part> good{labelled(of_model(0), "x"), labelled(of_model(1), "y"),
                               labelled(of_judge(2), "y")};
  const Json line = json_of(good);
  REQUIRE(why_wrong(good, line) == "");
  const auto changed = [&](const char* pointer, const Json& to) {
    Json other = line;
    other[Json::json_pointer(pointer)] = to;
    return why_wrong(good, other);
  };
  const Json other = chat("another");
  CHECK(changed("/response/body", other) ==
        "expected the response of model \"a\", got another one in response");
  CHECK(changed("/response", nullptr) ==
        "expected the response of model \"a\", got another one in response");
  CHECK(changed("/gristmill/answers/0/response/body", other) ==
        "expected the response of model \"a\", got another one in answers");
  CHECK(changed("/gristmill/answers/1/response/body", other) ==
        "expected the response of model \"b\", got another one in answers");
  CHECK(changed("/gristmill/answers/1/response/request_id", "r") != "");
  CHECK(changed("/gristmill/judge/response/body", other) ==
        "expected the response of the judge \"c\", got another one in judge");
  CHECK(changed("/gristmill/answers/1/label", "x") ==
        "expected the label of model \"b\", got another one in answers");
  CHECK(changed("/gristmill/label", "x") ==
        "expected the label that its answers give, got another one");
  CHECK(changed("/gristmill/answers/1/error", {{"code", "c"}}) ==
        "expected no error of model \"b\", got one in answers");
  CHECK(changed("/gristmill/answers", Json::array()) != "");
  CHECK(changed("/gristmill/answers/2", line["gristmill"]["answers"][1]) ==
        "expected one answer for each model, got another one");
  Json swapped = line;
  std::swap(swapped["gristmill"]["answers"][0], swapped["gristmill"]["answers"][1]);
  CHECK(why_wrong(good, swapped) != "");
  Json unjudged = line;
  unjudged["gristmill"].erase("judge");
  CHECK(why_wrong(good, unjudged) != "");
  const std::vector<Part> pair{good[0], good[1]};
  CHECK(why_wrong(pair, line) != ""); // a judge whom nobody asked
  Json failed_line = line;
  failed_line["gristmill"]["class"] = "timeout";
  failed_line["error"] = {{"code", "model_failed"}};
  CHECK(why_wrong(good, failed_line) ==
        "expected an answer, as all 3 parts have, got model_failed");
}

TEST_CASE("a failed line of several models is held to its parts, too") {
  const std::vector<Part> bad{said(of_model(0), "one"),
                              failed(of_model(1), OutcomeClass::too_long, "c", "m")};
  const Json line = json_of(bad);
  REQUIRE(why_wrong(bad, line) == "");
  Json other = line;
  other["response"]["body"] = "x";
  CHECK(why_wrong(bad, other) != "");
  other = line;
  other["gristmill"]["answers"][1]["error"] = nullptr;
  CHECK(why_wrong(bad, other) == "expected the error of model \"b\", got none in answers");
  other = line;
  other["gristmill"].erase("class");
  CHECK(why_wrong(bad, other) == "expected the failure of model \"b\", got an answer");
  other = line;
  other["gristmill"].erase("answers");
  CHECK(why_wrong(bad, other) != "");
  // Somebody else ended it, and asked no part.
  other["error"] = {{"code", "quarantined"}};
  CHECK(why_wrong(bad, other) == "");

  const std::vector<Part> first{failed(of_model(0), OutcomeClass::too_long, "c", "m"),
                                said(of_model(1), "two")};
  other = json_of(first);
  other["response"] = other["gristmill"]["answers"][1]["response"];
  CHECK(why_wrong(first, other) == "expected no response of model \"a\", got one");
}

TEST_CASE("of a model's joined parts the text is what counts") {
  const std::vector<Part> parts{said(of_model(0, 0), "a"), said(of_model(0, 1), "b"),
                                said(of_model(1), "c")};
  Json line = json_of(parts);
  line["gristmill"]["answers"][0]["response"]["body"]["later"] = 1;
  CHECK(why_wrong(parts, line) == "");
  line["gristmill"]["answers"][0]["response"]["body"]["choices"][0]["message"]["content"] = "aB";
  CHECK(why_wrong(parts, line) != "");
}

TEST_CASE("a judge sees the answers by model, chunks as one answer, and no thoughts") {
  const auto number = [](std::uint32_t model, std::uint32_t index) {
    return PartNumber{model, 0, index}.value();
  };
  const std::vector<Part> parts{
      said(number(0, 0), R"(<think>or b</think>a "quoted")"), said(number(1, 0), "b1 "),
      said(number(1, 1), "b2"), answered(number(2, 0), R"({"choices":[{"text":"completed"}]})"),
      answered(number(3, 0), R"({"output":[{"type":"message","content":)"
                             R"([{"type":"output_text","text":"r"}]}]})")};
  const Json seen = Json::parse("{" + answer_members(texts_of(parts)) + "}");
  CHECK(seen["answer.2"] == "b1 b2");
  CHECK(seen["answer.3"] == "completed");
  CHECK(seen["answer.4"] == "r");
  CHECK(seen["answer.1"] == "a \"quoted\"");
  CHECK(seen.size() == 4);
}

} // namespace openai_model_answers_test
