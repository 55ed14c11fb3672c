// A status of success is held against what was asked: what choices, counts and statuses say.
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/request/asked.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace openai_answer_test {

using namespace gristmill;
using namespace gristmill::openai;
using enum OutcomeClass;

namespace {

Asked asking(const char* path, const std::string& body) {
  return asked_of({path, body, "m"});
}

Reply reply_to(const Asked& asked, std::string_view body) {
  return read_reply(asked, 200, {}, body, 0);
}

std::string embeddings(int count) {
  std::string data;
  for (int i = 0; i < count; ++i)
    data += fmt::format(R"({}{{"index":{},"embedding":[0.5]}})", i == 0 ? "" : ",", i);
  return R"({"data":[)" + data + "]}";
}

} // namespace

TEST_CASE("What a request asks for is read from it", "[asked]") {
  struct Row {
    const char* path;
    const char* body;
    std::uint64_t answers;
    bool json = false;
  };
  const auto row = GENERATE(
      Row{"/embeddings", R"({"input":"a"})", 1},
      Row{"/embeddings", R"({"input":["a","b","c"]})", 3},
      Row{"/embeddings", R"({"input":[1,2,3]})", 1},
      Row{"/embeddings", R"({"input":[[1,2],[3]]})", 2},
      Row{"/embeddings", R"({"input":[{"text":"a"},{"image":"b"}]})", 2},
      Row{"/embeddings", R"({"messages":[]})", 0}, Row{"/embeddings", R"({"input":[]})", 0},
      Row{"/chat/completions", R"({"messages":[]})", 1}, Row{"/chat/completions", R"({"n":3})", 3},
      Row{"/chat/completions", R"({"n":null})", 1}, Row{"/chat/completions", R"({"n":"2"})", 2},
      Row{"/chat/completions", R"({"response_format":{"type":"json_schema"}})", 1, true},
      Row{"/chat/completions", R"({"response_format":{"type":"json_object"}})", 1, true},
      Row{"/chat/completions", R"({"response_format":{"type":"text"}})", 1},
      Row{"/responses", R"({"text":{"format":{"type":"json_schema"}}})", 0, true},
      Row{"/responses", R"({"text":{"verbosity":"low"}})", 0},
      Row{"/completions", R"({"prompt":["a","b"],"n":2})", 4},
      Row{"/completions", R"({"prompt":[1,2]})", 1}, Row{"/rerank", R"({"n":2})", 0});
  CAPTURE(row.path, row.body);
  const Asked asked = asking(row.path, row.body);
  CHECK(asked.answers == row.answers);
  CHECK(asked.json == row.json);
}

TEST_CASE("Fewer or more vectors than inputs are no answer, and hardly another the next time",
          "[answer]") {
  const auto [input, vectors, cls] = GENERATE(table<const char*, int, OutcomeClass>({
      {R"(["a","b","c"])", 1, malformed},
      {R"(["a","b","c"])", 2, malformed},
      {R"(["a","b","c"])", 3, ok},
      {R"(["a","b","c"])", 4, malformed},
      {R"("a")", 1, ok},
      {R"("a")", 2, malformed},
      {"[1,2,3]", 3, malformed},
      {"[]", 2, ok}, // nobody can say
  }));
  CAPTURE(input, vectors);
  const Reply reply =
      reply_to(asking("/embeddings", fmt::format(R"({{"input":{}}})", input)), embeddings(vectors));
  CHECK(reply.cls == cls);
  CHECK(reply.code == (cls == ok ? "" : "wrong_count"));
  if (cls != ok) CHECK_THAT(reply.message, Catch::Contains(fmt::format("got {}", vectors)));
}

TEST_CASE("Vectors of no numbers are no answer", "[answer]") {
  const auto [vector, cls] = GENERATE(table<const char*, OutcomeClass>({{"[null,null]", transient},
                                                                        {"[[0.5]]", malformed},
                                                                        {"[0.5,null]", malformed},
                                                                        {"[0.5]", ok}}));
  CAPTURE(vector);
  const std::string body = R"({"data":[{"index":0,"embedding":)" + std::string{vector} + R"(}]})";
  CHECK(info(reply_to(asking("/embeddings", R"({"input":"a"})"), body).cls).name == info(cls).name);
}

TEST_CASE("A filtered choice may lack its message", "[answer]") {
  const Reply reply =
      reply_to(asking("/chat/completions", "{}"),
               R"({"choices":[{"finish_reason":"content_filter: PROHIBITED_CONTENT","index":0}]})");
  CHECK(reply.cls == policy);
}

TEST_CASE("Of an answer in another API nothing is asked again and again", "[answer]") {
  const auto [body, cls] = GENERATE(table<const char*, OutcomeClass>({
      {R"({"code":200,"data":{"choices":[{"message":{"content":"a"}}]}})", config},
      {R"({"type":"message","content":[{"text":"a"}],"usage":{"input_tokens":1}})", config},
      {R"({"status":"ok"})", config},
      {"<html><title>Welcome to nginx!</title></html>", config},
      {"OK", config},
      {"", transient},
      {R"({"choices":[],"usage":{"prompt_tokens":9}})", transient},
      {R"({"choices":[]})", transient},
      {R"({"status":"loading"})", unavailable},
  }));
  CAPTURE(body);
  CHECK(info(reply_to(asking("/chat/completions", "{}"), body).cls).name == info(cls).name);
}

TEST_CASE("Fewer choices than asked for are no answer, more are one", "[answer]") {
  const std::string choice = R"({"message":{"content":"a"},"finish_reason":"stop"})";
  const Asked two = asking("/chat/completions", R"({"n":2})");
  CHECK(reply_to(two, R"({"choices":[)" + choice + "]}").code == "wrong_count");
  CHECK(reply_to(two, R"({"choices":[)" + choice + "]}").cls == malformed);
  CHECK(reply_to(two, R"({"choices":[)" + choice + "," + choice + "]}").cls == ok);
  CHECK(reply_to(Api::chat, R"({"choices":[)" + choice + "," + choice + "]}").cls == ok);
}

TEST_CASE("A choice that failed is no answer", "[answer]") {
  struct Row {
    const char* choices;
    OutcomeClass cls;
    const char* code;
    const char* shown;
  };
  const auto row = GENERATE(
      Row{R"({"message":{"content":"{\"a"},"finish_reason":"error",)"
          R"("error":{"code":502,"message":"upstream lost"}})",
          transient, "502", "upstream lost"},
      Row{R"({"finish_reason":"error","error":{"code":429,"message":"slower"}})", rate, "429",
          "slower"},
      Row{R"({"message":{"content":"x"},"error":{"message":"maximum context length is 9"}})",
          too_long, "error", "maximum context"},
      Row{R"({"message":{"content":"half"},"finish_reason":"error"})", transient, "finish_error",
          "half"},
      Row{R"({"message":{"content":"half"},"finish_reason":"network_error"})", transient,
          "finish_network_error", "half"},
      Row{R"({"message":{"content":"half"},"finish_reason":"abort"})", transient, "finish_abort",
          "half"},
      Row{R"({"message":{"content":"half"},"finish_reason":"insufficient_system_resource"})",
          overload, "insufficient_system_resource", "half"},
      Row{R"({"message":{"content":""},"finish_reason":"content_filter"})", policy,
          "content_filter", "content_filter"},
      Row{R"({"message":{"content":"half"},"finish_reason":"content_filter: RECITATION"})", policy,
          "content_filter: RECITATION", "half"},
      Row{R"({"message":{"content":"half"},"finish_reason":"SAFETY"})", policy, "SAFETY", "half"},
      Row{R"({"message":{"content":"half"},"finish_reason":"sensitive"})", policy, "sensitive",
          "half"},
      // one of two
      Row{R"({"message":{"content":"a"},"finish_reason":"stop"},)"
          R"({"message":{"content":"b"},"finish_reason":"error"})",
          transient, "finish_error", "b"},
      Row{R"({"message":{"content":"a"},"finish_reason":"content_filter"},)"
          R"({"message":{"content":"b"},"finish_reason":"content_filter"})",
          policy, "content_filter", "b"});
  CAPTURE(row.choices);
  const Reply reply = reply_to(
      Api::chat, fmt::format(R"({{"choices":[{}],"usage":{{"prompt_tokens":7}}}})", row.choices));
  CHECK(info(reply.cls).name == info(row.cls).name);
  CHECK(reply.code == row.code);
  CHECK_THAT(reply.message, Catch::Contains(row.shown));
  CHECK(reply.body.empty());
  CHECK(reply.usage.prompt == 7);
}

TEST_CASE("An end that is no failure leaves the answer one", "[answer]") {
  const auto choices = GENERATE(
      R"({"message":{"content":"x"},"finish_reason":"length"})",
      R"({"message":{"content":"x"},"finish_reason":null})", R"({"message":{"content":"x"}})",
      R"({"message":{"content":null},"finish_reason":"tool_calls"})",
      R"({"message":{"content":"x"},"finish_reason":"stop","error":null})",
      R"({"message":{"content":"x"},"finish_reason":"stop","error":{"message":"","code":null}})",
      R"({"message":{"content":"x"},"finish_reason":"content_filter"},{"message":{"content":"y"}})");
  CAPTURE(choices);
  CHECK(reply_to(Api::chat, fmt::format(R"({{"choices":[{}]}})", choices)).cls == ok);
}

TEST_CASE("An error without content beside a good answer is none", "[answer]") {
  const auto beside = GENERATE(
      R"("error":{"message":"","type":"","param":"","code":null})", R"("error":{})",
      R"("error":"")", R"("error":null)", R"("error":false)", R"("error":[])",
      R"("error":{"code":0,"message":"success"})", R"("error":{"code":"200","message":"ok"})",
      R"("message":"ok","code":200)", R"("msg":"success","code":0)", R"("detail":null)",
      R"("base_resp":{"status_code":0,"status_msg":"success"})");
  CAPTURE(beside);
  const std::string body =
      R"({"choices":[{"message":{"content":"fine"}}],)" + std::string{beside} + "}";
  const Reply reply = reply_to(Api::chat, body);
  CHECK(reply.cls == ok);
  CHECK(reply.body == body);
}

TEST_CASE("An error with content beside an answer is one", "[answer]") {
  const auto [beside, cls] = GENERATE(table<const char*, OutcomeClass>({
      {R"("error":{"message":"busy","code":502})", transient},
      {R"("error":"model crashed")", transient},
      {R"("error":{"message":"","code":"insufficient_quota"})", quota},
  }));
  CAPTURE(beside);
  const std::string body =
      R"({"choices":[{"message":{"content":"x"}}],)" + std::string{beside} + "}";
  CHECK(reply_to(Api::chat, body).cls == cls);
}

TEST_CASE("A response is judged by its status", "[answer]") {
  const auto [status, cls] = GENERATE(table<const char*, OutcomeClass>({
      {R"("status":"completed")", ok},
      {R"("status":"incomplete","incomplete_details":{"reason":"max_output_tokens"})", ok},
      {R"("status":"incomplete","incomplete_details":{"reason":"content_filter"})", policy},
      {R"("status":"failed","error":null)", transient},
      {R"("status":"failed","error":{"code":"server_error","message":"m"})", transient},
      {R"("status":"failed","error":{"code":"rate_limit_exceeded","message":"m"})", rate},
      {R"("status":"cancelled")", transient},
      {R"("status":"in_progress")", malformed},
      {R"("status":"queued")", malformed},
      {R"("object":"response")", ok},
  }));
  CAPTURE(status);
  const Reply reply =
      reply_to(Api::responses, fmt::format(R"({{{},"output":[{{"type":"message"}}]}})", status));
  CHECK(info(reply.cls).name == info(cls).name);
  if (cls != ok) CHECK_FALSE(reply.message.empty());
}

TEST_CASE("A stream that nobody asked for is no answer; an error in it is told", "[answer]") {
  CHECK(reply_to(Api::chat, "data: {\"choices\":[{\"delta\":{}}]}\n\ndata: [DONE]\n").cls ==
        malformed);
  const Reply quota_used =
      reply_to(Api::chat, "data: {\"choices\":[]}\n\nevent: error\ndata: {\"error\":{\"message\":"
                          "\"no more\",\"code\":\"insufficient_quota\"}}\n\n");
  CHECK(quota_used.cls == quota);
  CHECK(quota_used.message == "no more");
  CHECK(reply_to(Api::responses,
                 "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\","
                 "\"message\":\"m\"}\n\n")
            .cls == transient);
  CHECK(reply_to(Api::responses,
                 "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":"
                 "\"rate_limit_exceeded\",\"message\":\"m\"}}}\n\n")
            .cls == rate);
}

TEST_CASE("Under a schema the text must be JSON, and whole", "[answer]") {
  const Asked schema = asking("/chat/completions", R"({"response_format":{"type":"json_schema"}})");
  const auto [content, finish, code] = GENERATE(table<const char*, const char*, const char*>({
      {R"({\"a\":1})", "stop", ""},
      {R"( {\"a\":1}\n)", "stop", ""},
      {R"(<think>is it 1?</think>{\"a\":1})", "stop", ""},
      {R"(is it 1?</think>\n\n{\"a\":1})", "stop", ""},
      {R"(```json\n{\"a\":1}\n```)", "stop", ""},
      {R"({\"a\":)", "length", "cut_answer"},
      {R"({\"a\":1})", "length", "cut_answer"},
      {R"(<think>it may be {\"a\":1})", "length", "cut_answer"},
      {R"(<think>it may be {\"a\":1})", "stop", "no_json"},
      {"sorry", "stop", "no_json"},
      {"", "stop", "no_json"},
      {R"({\"a\":1} I hope this helps)", "stop", "no_json"},
  }));
  CAPTURE(content, finish);
  const Reply reply = reply_to(
      schema,
      fmt::format(R"({{"choices":[{{"message":{{"content":"{}"}},"finish_reason":"{}"}}]}})",
                  content, finish));
  CHECK(reply.code == code);
  CHECK(reply.cls == (*code == '\0' ? ok : bad_result));
  // Nobody asked for it: the same text is an answer.
  CHECK(reply_to(
            Api::chat,
            fmt::format(R"({{"choices":[{{"message":{{"content":"{}"}},"finish_reason":"{}"}}]}})",
                        content, finish))
            .cls == ok);
}

TEST_CASE("A schema's answer may be a call of a tool; a refusal and reasoning are none",
          "[answer]") {
  const Asked schema = asking("/chat/completions", R"({"response_format":{"type":"json_schema"}})");
  const auto said = [&](const char* message) {
    return reply_to(schema, fmt::format(R"({{"choices":[{{"message":{}}}]}})", message));
  };
  CHECK(said(R"({"content":null,"tool_calls":[{"id":"1"}]})").cls == ok);
  CHECK(said(R"({"content":null,"reasoning_content":"{\"a\":1}"})").code == "no_json");
  CHECK(said(R"({"content":[{"type":"thinking","text":"no"},{"type":"text","text":"{}"}]})").cls ==
        ok);
  CHECK_THAT(said(R"({"content":null,"refusal":"I will not"})").message,
             Catch::Contains("I will not"));
  const Asked response = asking("/responses", R"({"text":{"format":{"type":"json_schema"}}})");
  const auto response_of = [&](const char* status, const char* text) {
    return reply_to(
        response,
        fmt::format(R"({{"status":"{}","output":[{{"type":"reasoning"}},)"
                    R"({{"type":"message","content":[{{"type":"output_text","text":"{}"}}]}}]}})",
                    status, text));
  };
  CHECK(response_of("completed", R"({\"a\":1})").cls == ok);
  CHECK(response_of("completed", "no").code == "no_json");
  CHECK(response_of("incomplete", R"({\"a\":)").code == "cut_answer");
}

} // namespace openai_answer_test
