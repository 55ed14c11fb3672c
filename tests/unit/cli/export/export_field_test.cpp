// What each field is in lines of every kind.
#include "tests/unit/cli/export/export_harness.hpp"

#include <algorithm>
#include <set>

namespace export_field_test {

using namespace export_test;

TEST_CASE("An answer's own fields", "[export]") {
  const std::string line = chat(R"("a \"b\"\n")");
  const auto is = [&](const char* name, const char* json) { CHECK(field_of(line, name) == json); };
  is("custom_id", R"("a")");
  is("id", R"("batch_req_3_6")");
  is("item", "6");
  is("source", R"("in.jsonl:7")");
  is("status", R"("completed")");
  is("content", R"("a \"b\"\n")");
  is("finish_reason", R"("stop")");
  is("http_status", "200");
  is("model", R"("m")");
  is("endpoint", R"("http://h:1/v1")");
  is("prompt_tokens", "5");
  is("completion_tokens", "2");
  is("attempts", "2");
  is("latency_ms", "1234");
  is("cached", "false");
  is("repaired", "false");
  for (const char* absent : {"label", "votes", "tie", "judge", "error_code", "error_class",
                             "error_message", "chunks", "input.x", "answers.1", "labels.m"})
    is(absent, "");
}

TEST_CASE("A failed item has an error and no content", "[export]") {
  for (const std::string& line :
       {failed(0), failed(400, R"({"error":{"message":"It is odd."},"choices":[{"text":"x"}]})")}) {
    CAPTURE(line);
    CHECK(field_of(line, "status") == R"("failed")");
    CHECK(field_of(line, "error_code") == R"("too_odd")");
    CHECK(field_of(line, "error_message") == R"("It is odd.")");
    CHECK(field_of(line, "error_class") != "");
    for (const char* none : {"content", "finish_reason", "content.x"})
      CHECK(field_of(line, none).empty());
  }
}

TEST_CASE("The content of every API", "[export]") {
  const auto content = [](const std::string& body) { return field_of(answered(body), "content"); };
  CHECK(content(R"({"choices":[{"text":"words"},{"text":"others"}]})") == R"("words")");
  CHECK(content(R"({"choices":[{"message":{"content":null,"tool_calls":[{}]}}]})") == "null");
  CHECK(content(R"({"choices":[{"message":{"content":[{"type":"thinking","text":"no"},)"
                R"({"type":"text","text":"b"},{"type":"text","text":"\""}]}}]})") == R"("b\"")");
  CHECK(content(R"({"output":[{"type":"reasoning"},{"type":"message","content":)"
                R"([{"type":"output_text","text":"words"}]}],"status":"completed"})") ==
        R"("words")");
  CHECK(content(R"({"data":[{"index":0,"embedding":[0.1,-2e-3]}]})") == "[0.1,-2e-3]");
  CHECK(content(R"({"data":[{"embedding":"AACAPwAAAMAAAMB/"}]})") == "[1,-2,null]");
  CHECK(content(R"({"data":[{"embedding":[1]},{"embedding":[2,3]}]})") == "[[1],[2,3]]");
  CHECK(content(R"({"data":[{"embedding":"no base64!"}]})") == R"("no base64!")");
  CHECK(content(R"({"results":[{"relevance_score":0.5}]})").empty());
  CHECK(content("[]").empty());
}

TEST_CASE("The end of an answer of the Responses API is said as in chats", "[export]") {
  const auto reason = [](const std::string& more) {
    return field_of(answered(R"({"output":[])" + more + "}"), "finish_reason");
  };
  CHECK(reason(R"(,"status":"completed")") == R"("stop")");
  CHECK(reason(R"(,"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"})") ==
        R"("length")");
  CHECK(reason(R"(,"incomplete_details":{"reason":"content_filter"})") == R"("content_filter")");
}

TEST_CASE("Members of an answer that is JSON", "[export]") {
  const std::string line =
      chat(R"("{\"a\":{\"b.c\":[1,\"x\"]},\"n\":1.50,\"t\":\"\\u00e9\",\"z\":null}")");
  CHECK(field_of(line, "content.n") == "1.50");
  CHECK(field_of(line, "content.t") == R"("\u00e9")");
  CHECK(field_of(line, "content.z") == "null");
  CHECK(field_of(line, "content.a") == R"({"b.c":[1,"x"]})");
  CHECK(field_of(line, "content/a/b.c/1") == R"("x")");
  CHECK(field_of(line, "content.a.b.c").empty());
  CHECK(field_of(line, "content/a/b.c/2").empty());
  CHECK(field_of(chat(R"("<think>{}</think>```json\n{\"n\":7}\n```")"), "content.n") == "7");
  CHECK(field_of(chat(R"("{\"n\":")"), "content.n").empty());
  CHECK(field_of(chat(R"("plain")"), "content.n").empty());
  CHECK(field_of(chat(R"("[7,8]")"), "content/1") == "8");
}

TEST_CASE("What was kept of the input, and any place of the line", "[export]") {
  openai::Provenance kept = about();
  kept.input = R"({"a.b":"x","n":{"m":1}})";
  const std::string line = chat(R"("")", kept);
  CHECK(field_of(line, "input.a.b") == R"("x")");
  CHECK(field_of(line, "input.n") == R"({"m":1})");
  CHECK(field_of(line, "/gristmill/input/n/m") == "1");
  CHECK(field_of(line, "/response/request_id") == R"("req_1")");
  CHECK(field_of(line, "/error") == "null");
  CHECK(field_of(line, "/response/body/choices/0/message/role") == R"("assistant")");
  CHECK(field_of(line, "/nowhere").empty());
}

TEST_CASE("Several models, each by its number or its name", "[export]") {
  openai::Provenance several = about();
  several.label = "spam";
  several.votes = R"({"spam":1,"ham":1})";
  several.tie = true;
  const auto one = [](const char* model, const char* text, const char* tokens, const char* label) {
    return std::string{R"({"model":")"} + model + R"(","response":{"status_code":200,"body":)" +
           R"({"choices":[{"message":{"content":")" + text + R"("}}],"usage":{"prompt_tokens":)" +
           tokens + R"(,"completion_tokens":1}}},"error":null,"label":")" + label + "\"}";
  };
  const std::string broken =
      R"({"model":"c","response":{"status_code":500,"body":{"choices":[{"text":"x"}]}},)"
      R"("error":{"code":"x","message":"y"}})";
  several.models = openai::ModelAnswers{
      R"({"status_code":200,"request_id":"","body":{"choices":[{"message":{"content":"one"}}]}})",
      "[" + one("org/a.1", "one", "10", "spam") + "," + one("b", "two", "20", "ham") + "," +
          broken + "]",
      one("j", "three", "40", "spam")};
  const std::string line = chat(R"("not this one")", several);
  CHECK(field_of(line, "content") == R"("one")");
  CHECK(field_of(line, "answers.1") == R"("one")");
  CHECK(field_of(line, "answers.org/a.1") == R"("one")");
  CHECK(field_of(line, "answers.b") == R"("two")");
  CHECK(field_of(line, "answers.c") == "null");
  CHECK(field_of(line, "answers.4").empty());
  CHECK(field_of(line, "answers.d").empty());
  CHECK(field_of(line, "labels.2") == R"("ham")");
  CHECK(field_of(line, "labels.b") == R"("ham")");
  CHECK(field_of(line, "label") == R"("spam")");
  CHECK(field_of(line, "votes") == R"({"spam":1,"ham":1})");
  CHECK(field_of(line, "tie") == "true");
  CHECK(field_of(line, "judge") == R"("three")");
  CHECK(field_of(line, "prompt_tokens") == "70");
  CHECK(field_of(line, "completion_tokens") == "3");
}

TEST_CASE("Names of fields are taken apart at commas, each once", "[export]") {
  const auto fields = fields_named("custom_id, content.a b ,/x,answers.org/m");
  REQUIRE(fields);
  std::vector<std::string> names;
  for (const Field& field : *fields) names.push_back(field.name());
  CHECK(names == std::vector<std::string>{"custom_id", "content.a b", "/x", "answers.org/m"});
  CHECK(fields->front().is_known());
  CHECK_FALSE(fields->back().is_known());
  CHECK(fields_named(default_fields));
}

TEST_CASE("A name that is no field is refused with those that are", "[export]") {
  const auto refused = [](const char* names, const char* why) {
    const auto fields = fields_named(names);
    INFO(names);
    REQUIRE_FALSE(fields);
    CHECK(fields.error().code == ErrorCode::usage);
    CHECK_THAT(fields.error().message, Catch::Contains(why));
  };
  refused("custom_id,contents", "got \"contents\"");
  refused("contents", "expected custom_id, id, item");
  refused("contents", "content.MEMBER");
  refused("custom_id,", "got an empty name");
  refused("", "got an empty name");
  refused("content.", "got \"content.\"");
  refused("answers", "got \"answers\"");
  refused("status,custom_id,status", "got \"status\" twice");
  refused("/a~2", "~0 for a tilde");
}

TEST_CASE("No two known fields have a name in common", "[export]") {
  std::set<std::string_view> names;
  for (const KnownField& field : known_fields()) CHECK(names.insert(field.name).second);
}

} // namespace export_field_test
