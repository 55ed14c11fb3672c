// A chat that is asked once more, because its answer did not fit.
#include "protocol/openai/request/repair.hpp"

#include "protocol/limits.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace openai_repair_test {

using namespace gristmill;
using namespace gristmill::openai;
using nlohmann::json;

TEST_CASE("the answer and what is wrong with it stand behind all that was asked before") {
  const std::string before = GENERATE(
      as<std::string>{}, R"({"model":"m","messages":[{"role":"user","content":"]}"}],"n":1})",
      R"({"messages":[ ],"model":"m"})",
      R"({"model":"m","messages":[{"role":"system","content":""}, {"role":"user","content":"a"} ]})");
  CAPTURE(before);
  Request request{"/chat/completions", before, "m"};
  REQUIRE(ask_for_repair(request, {"{\"a\":\n\"ü\"}", "at /a: \"no\""}));
  json asked = json::parse(request.body), expected = json::parse(before);
  expected["messages"].push_back({{"role", "assistant"}, {"content", "{\"a\":\n\"ü\"}"}});
  expected["messages"].push_back(
      {{"role", "user"},
       {"content",
        "That does not fit the JSON schema: at /a: \"no\". Answer again, with nothing but "
        "JSON that fits it."}});
  CHECK(asked == expected);
}

TEST_CASE("of an answer that is too long only what is wrong is said") {
  Request request{"/chat/completions", R"({"messages":[{"role":"user","content":"a"}]})", "m"};
  REQUIRE(ask_for_repair(request, {"", "at /a: no"}));
  const json messages = json::parse(request.body)["messages"];
  REQUIRE(messages.size() == 2);
  CHECK(messages[1]["role"] == "user");
  for (const std::size_t bytes : {limits::repair_bytes_max, limits::repair_bytes_max + 1}) {
    protocol::Reply reply;
    reply.message = "at /a: no";
    reply.body = json{{"choices", {{{"message", {{"content", std::string(bytes, 'x')}}}}}}}.dump();
    const protocol::Repair repair = repair_of(reply);
    CHECK(repair.fault == reply.message);
    CHECK(repair.answer.size() == (bytes > limits::repair_bytes_max ? 0 : bytes));
  }
}

TEST_CASE("thoughts are not sent back, and a request without messages is not repaired") {
  protocol::Reply reply;
  reply.body = R"({"choices":[{"message":{"content":"<think>hm</think>{}"}}]})";
  CHECK(repair_of(reply).answer == "{}");
  Request request{"/completions", R"({"prompt":"a"})", "m"};
  CHECK_FALSE(ask_for_repair(request, {"", "no"}));
}

} // namespace openai_repair_test
