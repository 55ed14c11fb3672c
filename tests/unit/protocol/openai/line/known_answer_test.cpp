// What a later item takes from the line of one that was answered.
#include "protocol/openai/line/known_answer.hpp"
#include "protocol/openai/line/result_line.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace known_answer_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

protocol::Reply answered() {
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  reply.request_id = "req_1";
  reply.body = R"({"model":"other","response":{"status_code":1},"choices":[{"index":0}],"n":1.50})";
  return reply;
}

std::string line_of(const protocol::Reply& reply, std::optional<std::uint32_t> part = {}) {
  Provenance about{"in.jsonl:7", 2, "m", "http://h:1/v1", 1234, false, 6, R"({"class":"x"})"};
  about.part = part;
  return result_line(JobId{3}, "id \"1\" \xC3\xA9", reply, about);
}

} // namespace

TEST_CASE("the answer of a line is what was answered, byte by byte", "[known_answer]") {
  const auto part = GENERATE(std::optional<std::uint32_t>{}, std::optional{5u});
  const auto known = answer_in(line_of(answered(), part));
  REQUIRE(known);
  CHECK(*known == KnownAnswer{200, "req_1", "m", "http://h:1/v1", answered().body});
}

TEST_CASE("an answer of any status of success is one, and without a name of its own too",
          "[known_answer]") {
  const auto status = GENERATE(as<std::uint16_t>{}, 200, 201, 299);
  protocol::Reply reply = answered();
  reply.http_status = status;
  reply.request_id.clear();
  const auto known = answer_in(line_of(reply));
  REQUIRE(known);
  CHECK(known->http_status == status);
  CHECK(known->request_id.empty());
}

TEST_CASE("what was escaped in a line is plain again in what is known", "[known_answer]") {
  protocol::Reply reply = answered();
  reply.request_id = "a\"b\\\n";
  const auto known = answer_in(line_of(reply));
  REQUIRE(known);
  CHECK(known->request_id == reply.request_id);
}

TEST_CASE("the line of one that failed holds no answer, whatever the endpoint said",
          "[known_answer]") {
  const auto status = GENERATE(as<std::uint16_t>{}, 0, 200, 400);
  CAPTURE(status);
  protocol::Reply reply = answered();
  reply.cls = OutcomeClass::bad_result; // its answer is not usable
  reply.http_status = status;
  reply.code = "bad";
  reply.message = "no label";
  const auto known = answer_in(line_of(reply));
  REQUIRE_FALSE(known);
  CHECK(known.error().code == ErrorCode::bad_input);
}

TEST_CASE("an answer of success that its item could not use is none", "[known_answer]") {
  const std::string response = R"({"response":{"status_code":200,"body":{}},"gristmill":{)";
  CHECK(answer_in(response + R"("model":"m"}})"));
  CHECK_FALSE(answer_in(response + R"("class":"bad_result","model":"m"}})"));
}

TEST_CASE("a status of no success, or none, is no answer", "[known_answer]") {
  const auto [status, is_one] =
      GENERATE(table<std::string, bool>({{"199", false},
                                         {"200", true},
                                         {"299", true},
                                         {"300", false},
                                         {"404", false},
                                         {"-200", false},
                                         {"\"200\"", false},
                                         {"null", false},
                                         {"4294967496", false}})); // 200 in 32 bits
  CAPTURE(status);
  const auto known = answer_in(
      fmt::format(R"({{"response":{{"status_code":{},"body":{{}}}},"gristmill":{{}}}})", status));
  CHECK(known.has_value() == is_one);
}

TEST_CASE("a body that is no object is no answer", "[known_answer]") {
  const auto body = GENERATE(as<std::string>{}, "null", "[]", "\"{}\"", "1", "");
  CAPTURE(body);
  const auto line = [](const std::string& its) {
    return R"({"response":{"status_code":200)" + its + R"(},"gristmill":{"model":"m"}})";
  };
  CHECK_FALSE(answer_in(line(body.empty() ? "" : R"(,"body":)" + body)));
  CHECK(answer_in(line(R"(,"body":{})")));
}

TEST_CASE("what is no line of a result holds no answer", "[known_answer]") {
  const auto text = GENERATE(as<std::string>{}, "", "{", "{}", "[]", "null", "garbage",
                             R"({"response":null,"gristmill":{"class":"timeout"}})",
                             R"({"response":[],"gristmill":[]})", R"({"response":{}})");
  CAPTURE(text);
  const auto known = answer_in(text);
  REQUIRE_FALSE(known);
  CHECK(known.error().code == ErrorCode::bad_input);
}

} // namespace known_answer_test
