// What counts as an answer, and what is read out of it.
#include "protocol/job/outcome_class.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/reply/reply_headers.hpp"
#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace openai_reply_test {

using namespace gristmill;
using namespace gristmill::openai;
using namespace std::string_literals;
using enum OutcomeClass;

namespace {

const std::string chat_answer =
    R"({"id":"c","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,)"
    R"("prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}})";

Reply ok_status(Api api, std::string_view body) {
  return read_reply(api, 200, {}, body, 0);
}

std::string embeddings_of(const std::string& data) {
  return R"({"object":"list","model":"e","data":)" + data +
         R"(,"usage":{"prompt_tokens":7,"total_tokens":7}})";
}

} // namespace

TEST_CASE("A whole answer of its kind is ok, as one line", "[reply]") {
  struct Row {
    Api api;
    std::string body;
  };
  const auto row = GENERATE(
      Row{Api::chat, chat_answer},
      Row{Api::chat, R"({"choices":[{"message":{"content":null}}],"error":null})"},
      Row{Api::chat, R"({"choices":[{"message":{"content":""},"finish_reason":"length"}]})"},
      Row{Api::chat,
          R"({"choices":[{"message":{}}],"base_resp":{"status_code":0,"status_msg":""}})"},
      Row{Api::chat,
          R"({"created":123456789012345678901234567890,"choices":[{"message":{"x":1e999}}]})"},
      Row{Api::completions, R"({"choices":[{"text":"x"}]})"},
      Row{Api::responses, R"({"error":null,"output":[{"type":"message"}]})"},
      Row{Api::responses, R"({"status":"incomplete","output":[]})"},
      Row{Api::embeddings, embeddings_of(R"([{"index":0,"embedding":[0.5,-1]}])")},
      Row{Api::embeddings,
          embeddings_of(R"([{"index":1,"embedding":[1]},{"index":0,"embedding":"AAAA"}])")},
      Row{Api::embeddings, embeddings_of(R"([{"embedding":[1]},{"embedding":[2]}])")},
      Row{Api::embeddings, embeddings_of(R"([{"index":1,"embedding":[1]}])")},
      Row{Api::embeddings,
          embeddings_of(R"([{"index":2,"embedding":[1]},{"index":1,"embedding":[1]}])")},
      Row{Api::embeddings,
          embeddings_of(R"([{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}])")},
      Row{Api::other, R"({"results":[]})"}, Row{Api::other, "[]"}, Row{Api::other, "{}"});
  INFO(row.body);
  const Reply reply = ok_status(row.api, row.body);
  CHECK(reply.cls == ok);
  CHECK(reply.body == row.body);
  CHECK(reply.code.empty());
  CHECK(reply.message.empty());
}

TEST_CASE("Space between the tokens goes, space inside the strings stays", "[reply]") {
  const Reply reply = ok_status(
      Api::chat, "\r\n{ \"choices\" : [ {\n\t\"message\": {\"content\": \"a  b\\n\"} } ] }\n");
  CHECK(reply.cls == ok);
  CHECK(reply.body == R"({"choices":[{"message":{"content":"a  b\n"}}]})");
}

TEST_CASE("A 200 that is not JSON passes, or is of no form", "[reply]") {
  const auto [body, cls] = GENERATE(table<std::string, OutcomeClass>({
      {"", transient},
      {" ", transient},
      {"OK", config},
      {"<html>oops</html>", config},
      {"data: {\"choices\":[]}\n\ndata: [DONE]\n", malformed},
      {chat_answer + "x", malformed},
      {chat_answer + chat_answer, malformed},
      {"{\"choices\":[{\"message\":{}}],\"x\":tru}", malformed},
      {"{\"choices\":[{\"message\":{}}],\"x\":[01]}", malformed},
      {"{\"choices\":[{\"message\":{\"a\":" + std::string(1'000'000, '['), malformed},
  }));
  INFO(body.substr(0, 100));
  const Reply reply = ok_status(Api::chat, body);
  CHECK(reply.cls == cls);
  CHECK(reply.code == "bad_json");
  CHECK(reply.body.empty());
  CHECK(reply.message.size() < 600);
  CHECK(json::printable(reply.message, 1'000) == reply.message);
}

TEST_CASE("An answer that is cut anywhere is transient", "[reply]") {
  for (std::size_t bytes = 0; bytes < chat_answer.size(); ++bytes) {
    const Reply reply = ok_status(Api::chat, std::string_view{chat_answer}.substr(0, bytes));
    if (reply.cls != transient || reply.code != "bad_json") FAIL("accepted when cut at " << bytes);
  }
}

TEST_CASE("JSON with nothing in it passes, JSON of another kind is of no form", "[reply]") {
  struct Row {
    Api api;
    std::string body;
    const char* says;
    OutcomeClass cls = malformed;
  };
  const auto row = GENERATE(
      Row{Api::chat, "{}", "choices[0].message", transient},
      Row{Api::chat, "[]", "choices[0].message", transient},
      Row{Api::chat, "null", "choices[0].message", transient},
      Row{Api::chat, R"({"choices":[]})", "choices[0].message", transient},
      Row{Api::chat, R"({"choices":null})", "choices[0].message", transient},
      Row{Api::chat, R"({"choices":[{"message":null}]})", "choices[0].message"},
      Row{Api::chat, R"({"choices":[{"delta":{}}]})", "choices[0].message"},
      Row{Api::chat, R"({"choices":[{"text":"x"}]})", "choices[0].message"},
      Row{Api::completions, R"({"choices":[{"message":{}}]})", "choices[0].text"},
      Row{Api::completions, R"({"choices":[{"text":null}]})", "choices[0].text"},
      Row{Api::responses, R"({"choices":[]})", "output", config},
      Row{Api::responses, R"({"output":null})", "output", transient},
      Row{Api::responses, R"({"output":"x"})", "output"},
      Row{Api::embeddings, embeddings_of("[]"), "one embedding", transient},
      Row{Api::embeddings, embeddings_of("null"), "one", transient},
      Row{Api::embeddings, embeddings_of(R"([{"index":0}])"), "one embedding"},
      Row{Api::embeddings, embeddings_of(R"([{"index":0,"embedding":[]}])"), "one embedding"},
      Row{Api::embeddings, embeddings_of(R"([{"index":0,"embedding":""}])"), "one embedding"},
      Row{Api::embeddings,
          embeddings_of(R"([{"index":2,"embedding":[1]},{"index":3,"embedding":[1]}])"), "one"},
      Row{Api::embeddings,
          embeddings_of(R"([{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}])"), "one"},
      Row{Api::embeddings,
          embeddings_of(
              R"([{"index":0,"embedding":[1]},{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}])"),
          "one"},
      Row{Api::other, "7", "an object or an array"});
  INFO(row.body);
  const Reply reply = ok_status(row.api, row.body);
  CHECK(reply.cls == row.cls);
  CHECK(reply.code == "bad_reply");
  CHECK_THAT(reply.message, Catch::Contains(row.says));
  CHECK(reply.body.empty());
}

TEST_CASE("Usage is read in both its forms, and believed only if it makes sense", "[reply]") {
  struct Row {
    const char* usage;
    protocol::Usage read;
  };
  const auto row = GENERATE(
      Row{R"({"prompt_tokens":10,"completion_tokens":5,"total_tokens":15})", {true, 10, 5, 0, 0}},
      Row{R"({"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},)"
          R"("completion_tokens_details":{"reasoning_tokens":3}})",
          {true, 10, 5, 4, 3}},
      Row{R"({"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4},)"
          R"("output_tokens_details":{"reasoning_tokens":3}})",
          {true, 10, 5, 4, 3}},
      Row{R"({"prompt_tokens":7,"total_tokens":7})", {true, 7, 0, 0, 0}},
      Row{R"({"prompt_tokens":7,"total_tokens":9})", {true, 7, 2, 0, 0}},
      // Thoughts that are in the sum alone; a sum that is too small says nothing.
      Row{R"({"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,)"
          R"("completion_tokens_details":{"reasoning_tokens":94}})",
          {true, 32, 103, 0, 94}},
      Row{R"({"prompt_tokens":32,"completion_tokens":9,"total_tokens":1})", {true, 32, 9, 0, 0}},
      Row{R"({"total_tokens":9})", {true, 9, 0, 0, 0}},
      Row{R"({"prompt_tokens":3,"completion_tokens":0,"prompt_tokens_details":null,)"
          R"("completion_tokens_details":{"reasoning_tokens":null}})",
          {true, 3, 0, 0, 0}},
      Row{R"({"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":99}})",
          {true, 3, 1, 3, 0}},
      Row{"{}", {}}, Row{"null", {}}, Row{"[]", {}}, Row{R"({"prompt_tokens":-1})", {}},
      Row{R"({"prompt_tokens":12.0,"completion_tokens":3.0,"total_tokens":15.0})",
          {true, 12, 3, 0, 0}},
      Row{R"({"input_tokens":"12","output_tokens":"3"})", {true, 12, 3, 0, 0}},
      Row{R"({"prompt_tokens":1.5,"completion_tokens":1e1})", {true, 2, 10, 0, 0}},
      Row{R"({"prompt_tokens":"many"})", {}}, Row{R"({"prompt_tokens":-1.0})", {}},
      Row{R"({"prompt_tokens":18446744073709551615,"completion_tokens":1})", {}});
  INFO(row.usage);
  const Reply reply = ok_status(
      Api::chat, fmt::format(R"({{"choices":[{{"message":{{}}}}],"usage":{}}})", row.usage));
  CHECK(reply.cls == ok);
  CHECK(reply.usage == row.read);
}

TEST_CASE("An answer without usage has none, an empty one may still have cost tokens", "[reply]") {
  CHECK_FALSE(ok_status(Api::chat, R"({"choices":[{"message":{}}]})").usage.known);
  CHECK(ok_status(Api::chat, R"({"choices":[],"usage":{"prompt_tokens":5}})").usage.prompt == 5);
}

TEST_CASE("Model and request id are those that the server names", "[reply]") {
  const Headers headers{
      {"content-type", "application/json"}, {"request-id", "b"}, {"x-request-id", "a\r\n"}};
  const Reply reply = read_reply(Api::chat, 200, headers, chat_answer, 0);
  CHECK(reply.model == "m-1");
  CHECK(reply.request_id == "a  ");
  CHECK(read_reply(Api::chat, 500, {{"request-id", "b"}}, "", 0).request_id == "b");
  CHECK(read_reply(Api::chat, 500, {}, "", 0).request_id.empty());
}

TEST_CASE("Names and sentences from outside fit their bounds", "[reply]") {
  const std::string much(1'000'000, 'x');
  const Headers headers{{"x-request-id", much}};
  const Reply error =
      read_reply(Api::chat, 400, headers,
                 R"({"error":{"message":")" + much + R"(","code":")" + much + "\"}}", 0);
  CHECK(error.message.size() <= limits::text_bytes_max);
  CHECK(error.code.size() <= limits::name_bytes_max);
  CHECK(error.request_id.size() <= limits::name_bytes_max);
  CHECK(ok_status(Api::chat, R"({"model":")" + much + R"(","choices":[{"message":{}}]})")
            .model.size() <= limits::name_bytes_max);
}

TEST_CASE("An error page leaves its words and no body", "[reply]") {
  const std::string page = "<html>\n<h1>502 Bad\x1bGateway</h1>" + std::string(10'000, '.');
  const Reply reply = read_reply(Api::chat, 502, {}, page, 0);
  CHECK(reply.cls == gateway);
  CHECK(reply.body.empty());
  CHECK(reply.message == "502 Bad Gateway");
}

TEST_CASE("An answer of the greatest size is read", "[reply]") {
  const std::string text(limits::reply_bytes_max - 100, 'x');
  CHECK(ok_status(Api::chat, R"({"choices":[{"message":{"content":")" + text + "\"}}]}").cls == ok);
  CHECK(ok_status(Api::chat, R"({"choices":[{"message":{"content":")" + text).cls == transient);
}

TEST_CASE("The wait is what the headers say, within ten minutes", "[reply]") {
  constexpr std::int64_t now = 784'111'777; // Sun, 06 Nov 1994 08:49:37 GMT
  struct Row {
    Headers headers;
    std::int64_t wait_ms;
  };
  const auto row =
      GENERATE(Row{{}, -1}, Row{{{"retry-after", "2"}}, 2'000}, Row{{{"retry-after", "0.5"}}, 500},
               Row{{{"retry-after", " 2 "}}, 2'000}, Row{{{"retry-after-ms", "12.5"}}, 13},
               Row{{{"retry-after", "2"}, {"retry-after-ms", "100"}}, 100},
               Row{{{"retry-after", "2"}, {"retry-after-ms", "soon"}}, 2'000},
               Row{{{"retry-after", "0"}}, 0}, Row{{{"retry-after", "-5"}}, 0},
               Row{{{"retry-after", "600"}}, 600'000}, Row{{{"retry-after", "601"}}, 600'000},
               Row{{{"retry-after", "1e300"}}, 600'000}, Row{{{"retry-after", "1e999"}}, -1},
               Row{{{"retry-after", "nan"}}, -1}, Row{{{"retry-after", "inf"}}, -1},
               Row{{{"retry-after", "2s"}}, 2'000}, Row{{{"retry-after", ""}}, -1},
               Row{{{"retry-after", "0x10"}}, -1},
               Row{{{"retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"}}, 0},
               Row{{{"retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"}}, 30'000},
               Row{{{"retry-after", "Sun, 06 Nov 1994 08:40:00 GMT"}}, 0},
               Row{{{"retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"}}, 600'000},
               Row{{{"retry-after", "Sun, 31 Feb 1994 08:49:37 GMT"}}, -1},
               Row{{{"retry-after", "Sun, 06 anF 1994 08:49:37 GMT"}}, -1},
               Row{{{"retry-after", "Sun, 06 Nov 1994 08:4x:37 GMT"}}, -1});
  INFO((row.headers.empty() ? "" : row.headers[0].second));
  CHECK(read_reply(Api::chat, 429, row.headers, "", now).retry_after_ms == row.wait_ms);
}

TEST_CASE("A refusal says whether its limit is one of tokens", "[reply]") {
  const auto [status, type, message, tokens] =
      GENERATE(table<std::uint16_t, std::string, std::string, bool>({
          {429, "tokens", "m", true},
          {429, "requests", "m", false},
          {429, "rate_limit_error", "exceed the limit of 40,000 input tokens per minute", true},
          {429, "", "Limit reached on Tokens Per Min (TPM): Limit 10000, Used 9900", true},
          {429, "", "have exceeded token rate limit of your current tier", true},
          {429, "", "Limit reached on requests per min (RPM): Limit 3, Used 3", false},
          {429, "insufficient_quota", "no more tokens per minute", false}, // no limit of a rate
          {400, "tokens", "m", false},
      }));
  CAPTURE(status, type, message);
  const std::string body =
      fmt::format(R"({{"error":{{"type":"{}","message":"{}"}}}})", type, message);
  CHECK(read_reply(Api::chat, status, {}, body, 0).tokens_refused == tokens);
}

TEST_CASE("An answer needs no wait", "[reply]") {
  CHECK(read_reply(Api::chat, 200, {{"retry-after", "5"}}, chat_answer, 0).retry_after_ms == -1);
}

TEST_CASE("A body that was told is one line of checked JSON, or none", "[reply]") {
  const auto told = [](OutcomeClass cls, std::uint16_t status, std::string body) {
    protocol::Outcome outcome;
    outcome.cls = cls;
    outcome.http_status = status;
    outcome.body = std::move(body);
    judge_body(outcome);
    return outcome;
  };
  CHECK(told(ok, 200, chat_answer).cls == ok);
  CHECK(told(ok, 200, chat_answer).body == chat_answer);
  CHECK(told(ok, 200, "{\n \"a\":\t1\r\n}").body == R"({"a":1})");
  for (const std::string& bad :
       {"{\"a\":1}\n{\"custom_id\":\"injected\"}"s, ""s, "{"s, "{\"a\":\"\xff\"}"s,
        "{\"a\":\"\x01\"}"s, "{}\0"s, std::string(257, '[') + std::string(257, ']')}) {
    CAPTURE(bad);
    const auto as_answer = told(ok, 200, bad);
    CHECK(as_answer.cls == transient);
    CHECK(as_answer.code == "bad_json");
    CHECK(as_answer.body.empty());
    const auto as_error = told(bad_line, 400, bad);
    CHECK(as_error.cls == bad_line);
    CHECK(as_error.body.empty());
  }
  CHECK(told(ok, 200, std::string(256, '[') + std::string(256, ']')).cls == ok);
  CHECK(told(bad_line, 400, R"({"error":1})").body == R"({"error":1})");
  for (const std::uint16_t status : std::initializer_list<std::uint16_t>{0, 199, 300, 65'535})
    CHECK(told(ok, status, chat_answer).cls == transient);
  CHECK(told(ok, 299, chat_answer).cls == ok);
}

} // namespace openai_reply_test
