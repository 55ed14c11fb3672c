// Reading one line of a batch file, and ids out of objects.
#include "protocol/limits.hpp"
#include "protocol/openai/line/batch_line.hpp"
#include "protocol/result.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace openai_batch_line_test {

using namespace gristmill;
using namespace gristmill::openai;
using namespace std::string_literals;

namespace {

std::string line_with_id(std::string_view id) {
  return fmt::format(R"({{"custom_id":"{}","method":"POST","url":"/v1/embeddings","body":{{}}}})",
                     id);
}
std::string line_with_body(std::string_view body) {
  return fmt::format(R"({{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}})",
                     body);
}

} // namespace

TEST_CASE("A batch line gives its id and its path", "[batch_line]") {
  const auto* line = GENERATE(
      R"({"custom_id":"a-1","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}})",
      R"( {"body" : {} , "url":"/chat/completions", "method":"POST","custom_id":"a-1"} )"
      "\r\n",
      R"({"custom_id":"\u0061-1","method":"POST","url":"\/v1\/chat/completions","body":{},"x":[1]})",
      R"({"custom_id":"a-1","method":"POST","url":"/v1/chat/completions","body":{"stream":false}})",
      R"({"custom_id":"a-1","method":"POST","url":"/v1/chat/completions","body":{"stream":null}})",
      R"({"custom_id":"a-1","method":"POST","url":"/v1/chat/completions",)"
      R"("body":{"x":{"stream":true},"seed":123456789012345678901234567890}})");
  INFO(line);
  const auto read = read_batch_line(line);
  REQUIRE(read);
  CHECK(read->custom_id == "a-1");
  CHECK(read->path == "/chat/completions");
}

TEST_CASE("A bad batch line says what was expected and what came", "[batch_line]") {
  struct Row {
    std::string line;
    const char* says;
  };
  const auto row = GENERATE(
      Row{"", "a JSON object"}, Row{"hello", "a JSON object"},
      Row{"[]", "a JSON object, got an array"}, Row{"\"x\"", "a JSON object, got a string"},
      Row{"null", "a JSON object, got null"}, Row{line_with_id("a").substr(0, 60), "got the end"},
      Row{line_with_id("a") + "}", "nothing after"},
      Row{line_with_id("a") + line_with_id("b"), "nothing after"},
      Row{line_with_id("a\0b"s), "no control character"}, Row{line_with_id("\xff"), "UTF-8"},
      Row{line_with_id("\\ud800"), "surrogate"},
      Row{line_with_body("{\"x\":tru}"), "true, false or null"},
      Row{line_with_body("{\"x\":[1,2,{\"y\":01}]}"), "at byte"},
      Row{R"({"method":"POST","url":"/v1/embeddings","body":{}})",
          "custom_id to be a string, got nothing"},
      Row{R"({"custom_id":7,"method":"POST","url":"/v1/embeddings","body":{}})",
          "string, got a number"},
      Row{R"({"custom_id":null,"method":"POST","url":"/v1/embeddings","body":{}})",
          "string, got null"},
      Row{line_with_id(""), "got an empty string"},
      Row{R"({"custom_id":"a","url":"/v1/embeddings","body":{}})", "\"POST\", got nothing"},
      Row{R"({"custom_id":"a","method":"GET","url":"/v1/embeddings","body":{}})", "got \"GET\""},
      Row{R"({"custom_id":"a","method":"post","url":"/v1/embeddings","body":{}})", "got \"post\""},
      Row{R"({"custom_id":"a","method":1,"url":"/v1/embeddings","body":{}})", "\"POST\", got 1"},
      Row{R"({"custom_id":"a","method":"POST","body":{}})", "url to be a string, got nothing"},
      Row{R"({"custom_id":"a","method":"POST","url":[],"body":{}})",
          "url to be a string, got an array"},
      Row{R"({"custom_id":"a","method":"POST","url":"/v1/files","body":{}})", "url to be one of"},
      Row{R"({"custom_id":"a","method":"POST","url":"/v1/embeddings"})",
          "body to be an object, got nothing"},
      Row{R"({"custom_id":"a","params":{"model":"x"}})", "got params, as one of Anthropic's"},
      Row{line_with_body("[]"), "object, got an array"},
      Row{line_with_body("\"{}\""), "object, got a string"},
      Row{line_with_body("null"), "object, got null"},
      Row{line_with_body(R"({"stream":true})"), "\"stream\": true"},
      Row{line_with_body(R"({"str\u0065am":true})"), "\"stream\": true"},
      Row{line_with_body(R"({"stream":false,"stream":true})"), "\"stream\": true"},
      Row{line_with_body(R"({"stream":"true"})"), "\"stream\": true"},
      Row{line_with_body(R"({"stream":1})"), "\"stream\": true"},
      Row{line_with_body("{\"x\":" + std::string(100'000, '[')), "256 levels"});
  INFO(row.line.substr(0, 200));
  const auto read = read_batch_line(row.line);
  REQUIRE_FALSE(read);
  CHECK(read.error().code == ErrorCode::bad_input);
  CHECK_THAT(read.error().message, Catch::Contains("expected ") && Catch::Contains(row.says));
}

TEST_CASE("A line without method and url calls what is assumed, or says how to say it",
          "[batch_line]") {
  const std::string line = R"({"custom_id":"0","body":{"messages":[]}})";
  const auto bare = read_batch_line(line);
  REQUIRE_FALSE(bare);
  CHECK_THAT(bare.error().message, Catch::Contains("--assume-url /v1/chat/completions"));
  CHECK(read_batch_line(line, "/v1/chat/completions").value().path == "/chat/completions");
  CHECK(read_batch_line(line, "/v1/embeddings").value().custom_id == "0");
  // Half of it is enough, and what a line says itself holds.
  const auto path = [](std::string_view text) {
    return read_batch_line(text, "/v1/chat/completions").value().path;
  };
  CHECK(path(R"({"custom_id":"0","method":"POST","body":{}})") == "/chat/completions");
  CHECK(path(R"({"custom_id":"0","url":"/v1/embeddings","body":{}})") == "/embeddings");
  CHECK_FALSE(read_batch_line(R"({"custom_id":"0","method":"GET","body":{}})", "/v1/embeddings"));
  CHECK_FALSE(
      read_batch_line(R"({"custom_id":"0","url":"/v1/files","body":{}})", "/v1/embeddings"));
}

TEST_CASE("The limit on custom_id counts its bytes, not its spelling", "[batch_line]") {
  const std::size_t most = limits::custom_id_bytes_max;
  for (const std::size_t bytes : {most - 1, most, most + 1}) {
    INFO(bytes);
    CHECK(read_batch_line(line_with_id(std::string(bytes, 'x'))).has_value() == (bytes <= most));
  }
  std::string escaped;
  for (std::size_t i = 0; i < most / 2; ++i) escaped += "\\u00e9";
  CHECK(read_batch_line(line_with_id(escaped)));
  CHECK_FALSE(read_batch_line(line_with_id(escaped + "x")));
}

TEST_CASE("A line of the greatest size is read", "[batch_line]") {
  const std::string text(limits::line_bytes_max - 200, 'x');
  CHECK(read_batch_line(line_with_body("{\"input\":\"" + text + "\"}")));
  CHECK_FALSE(read_batch_line(line_with_body("{\"input\":\"" + text + "}")));
}

TEST_CASE("A field's text is that of a string or a number", "[batch_line]") {
  const std::string object =
      R"({"s":"\u00e9","n":1.50,"big":123456789012345678901234567890,"z":null,"e":"","o":{"s":1}})";
  CHECK(field_text(object, "s").value_or("?") == "\xc3\xa9");
  CHECK(field_text(object, "n").value_or("?") == "1.50");
  CHECK(field_text(object, "big").value_or("?") == "123456789012345678901234567890");
  CHECK(field_text(object, "z").value_or("?").empty());
  CHECK(field_text(object, "e").value_or("?").empty());
  CHECK(field_text(object, "absent").value_or("?").empty());
  CHECK_THAT(field_text(object, "o").error().message,
             Catch::Contains("o to be a string or a number"));
  CHECK_THAT(field_text("[1]", "s").error().message, Catch::Contains("got an array"));
  CHECK_THAT(field_text("{\"s\":1", "s").error().message, Catch::Contains("a JSON object"));
  CHECK_FALSE(
      field_text("{\"s\":\"" + std::string(limits::custom_id_bytes_max + 1, 'x') + "\"}", "s"));
}

} // namespace openai_batch_line_test
