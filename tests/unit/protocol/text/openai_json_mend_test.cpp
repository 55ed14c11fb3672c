// JSON as servers send it: what is mended, what is a fault, and which faults are those of a cut.
#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/text/json_mend.hpp"
#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>

namespace openai_json_mend_test {

using namespace gristmill;
using namespace gristmill::openai;
using namespace std::string_literals;

namespace {

constexpr std::size_t much = 1'000'000;

std::string mend(std::string_view text, std::size_t most = much) {
  std::string room;
  const json::Mended read = json::mended(text, most, room);
  if (read.fault) return "fault: " + read.fault->sentence;
  CHECK(json::check(read.text));
  return std::string{read.text};
}

} // namespace

TEST_CASE("What a reader can still understand is mended", "[json_mend]") {
  const auto [text, whole] = GENERATE(table<std::string, std::string>({
      {R"({"a":1})", R"({"a":1})"},
      {"\xef\xbb\xbf{\"a\":1}", R"({"a":1})"},
      {"\n\n\xef\xbb\xbf \t{}", "{}"},
      {"{}\n\0\0"s, "{}"},
      {"\0{}"s, "{}"},
      // halves of surrogate pairs
      {R"({"a":"x \ud83d y"})", R"({"a":"x \ufffd y"})"},
      {R"({"a":"\ud83d"})", R"({"a":"\ufffd"})"},
      {R"({"a":"\ude00"})", R"({"a":"\ufffd"})"},
      {R"({"a":"\ude00\ud83d"})", R"({"a":"\ufffd\ufffd"})"},
      {R"({"a":"\ud83d\ud83d\ude00"})", R"({"a":"\ufffd\ud83d\ude00"})"},
      {R"({"a":"\ud83d\n"})", R"({"a":"\ufffd\n"})"},
      {R"({"a":"\\ud83d"})", R"({"a":"\\ud83d"})"},
      // bytes that are no UTF-8, as of a token that ends in the midst of a character
      {"{\"a\":\"x\xe4\xb8\"}", "{\"a\":\"x\xef\xbf\xbd\"}"},
      {"{\"a\":\"\xff\"}", "{\"a\":\"\xef\xbf\xbd\"}"},
      // controls
      {"{\"a\":\"x\ny\tz\x01\"}", R"({"a":"x\u000ay\u0009z\u0001"})"},
      {"{\"a\":\"\0\"}"s, R"({"a":"\u0000"})"},
      // no numbers
      {R"({"a":NaN,"b":[Infinity,-Infinity,-1e5]})", R"({"a":null,"b":[null,null,-1e5]})"},
      {R"([nan,-nan,inf,-inf,"NaN"])", R"([null,null,null,null,"NaN"])"},
      {R"({"a":"NaN \ud83d","b":NaN})", R"({"a":"NaN \ufffd","b":null})"},
  }));
  CAPTURE(text);
  CHECK(mend(text) == whole);
}

TEST_CASE("What it does not understand stays a fault", "[json_mend]") {
  const auto text = GENERATE(as<std::string>{}, "{a:1}", "{'a':1}", R"({"a":1,})", "[01]", "[1NaN]",
                             "[NaNa]", "[-]", R"(["\x41"])", R"(["\u12"])", "{}{}", "{} x", "<a>",
                             "data: {}", "[+1]", "[truth]", "");
  CAPTURE(text);
  CHECK_THAT(mend(text), Catch::StartsWith("fault: "));
}

TEST_CASE("A text that ends too early is told apart from a wrong one", "[json_mend]") {
  const std::string whole = "{\"a\":\"\\ud83d \xff\",\"b\":[NaN,1.5,true]}";
  for (std::size_t bytes = 1; bytes < whole.size(); ++bytes) {
    std::string room;
    const json::Mended read = json::mended(whole.substr(0, bytes), much, room);
    CAPTURE(bytes);
    REQUIRE(read.fault);
    CHECK(read.fault->at_end);
  }
  for (const char* wrong : {"{a", R"({"a":1]x)", "[1 2]", "{}x"}) {
    std::string room;
    const json::Mended read = json::mended(wrong, much, room);
    CAPTURE(wrong);
    REQUIRE(read.fault);
    CHECK_FALSE(read.fault->at_end);
  }
}

TEST_CASE("Mending has a bound", "[json_mend]") {
  const std::string text = "[\"" + std::string(20, '\x01') + "\"]";
  CHECK(mend(text, 20 * 6 + 4).size() == 20 * 6 + 4);
  CHECK(mend(text, 20 * 6 + 3) == "fault: expected at most 123 bytes, got more");
  CHECK(mend(R"(["a"])", 1) == R"(["a"])"); // what needs no mending is bounded by whoever read it
}

TEST_CASE("A count is a natural number as servers spell one", "[json_mend]") {
  const auto [spelled, count] = GENERATE(table<const char*, std::optional<std::uint64_t>>({
      {"12", 12},
      {"12.0", 12},
      {"12.5", 13},
      {"1e3", 1'000},
      {"\"12\"", 12},
      {"\"12.0\"", 12},
      {"0.0", 0},
      {"-0.0", 0},
      {"1e999", 18'446'744'073'709'551'615u},
      {"1e30", 18'446'744'073'709'551'615u},
      {"-1", std::nullopt},
      {"-1e999", std::nullopt},
      {"\"\"", std::nullopt},
      {"\"12x\"", std::nullopt},
      {"\"nan\"", std::nullopt},
      {"null", std::nullopt},
      {"true", std::nullopt},
      {"[1]", std::nullopt},
      {"", std::nullopt},
  }));
  CAPTURE(spelled);
  CHECK(json::count_of({spelled}) == count);
}

TEST_CASE("An answer that a reader still understands is kept", "[json_mend]") {
  const std::string chat_answer = R"({"choices":[{"message":{"content":"hi"}}]})";
  const auto [body, kept] = GENERATE_COPY(table<std::string, std::string>({
      {chat_answer + "\0\0\n"s, chat_answer},
      {"\xef\xbb\xbf" + chat_answer, chat_answer},
      {"{\"choices\":[{\"message\":{\"a\":\"\n\"}}]}",
       R"({"choices":[{"message":{"a":"\u000a"}}]})"},
      {"{\"choices\":[{\"message\":{\"a\":\"\xff\"}}]}",
       "{\"choices\":[{\"message\":{\"a\":\"\xef\xbf\xbd\"}}]}"},
      {R"({"choices":[{"message":{"a":"good \ud83d end"}}]})",
       R"({"choices":[{"message":{"a":"good \ufffd end"}}]})"},
      {R"({"choices":[{"message":{},"logprobs":[-Infinity,NaN]}]})",
       R"({"choices":[{"message":{},"logprobs":[null,null]}]})"},
      {R"({"choices":[],"choices":[{"message":{}}]})",
       R"({"choices":[],"choices":[{"message":{}}]})"},
  }));
  INFO(body);
  const Reply reply = read_reply(Api::chat, 200, {}, body, 0);
  CHECK(reply.cls == gristmill::OutcomeClass::ok);
  CHECK(reply.body == kept);
}

} // namespace openai_json_mend_test
