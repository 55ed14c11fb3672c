// Requests for embeddings as one request, and its answer taken apart again.
#include "protocol/openai/request/pack.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace openai_pack_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

constexpr const char* path = "/embeddings";

Request request(const std::string& body, const std::string& at = path) {
  return {at, body, "m"};
}
Request of_input(const std::string& input) {
  return request(fmt::format(R"({{"model":"m","input":{},"dimensions":8}})", input));
}

std::vector<PartId> parts_of(std::uint32_t count) {
  std::vector<PartId> parts;
  for (std::uint32_t n = 0; n < count; ++n) parts.push_back({JobId{1}, 40 + n, 0});
  return parts;
}

protocol::Reply reply_of(const std::string& data) {
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  reply.model = "m-\"1\"";
  reply.body = fmt::format(
      R"({{"object":"list","data":{},"model":"other","usage":{{"prompt_tokens":9}}}})", data);
  return reply;
}

std::vector<OutcomeClass> classes_of(const std::vector<protocol::Answer>& answers) {
  std::vector<OutcomeClass> classes;
  for (const auto& answer : answers) classes.push_back(answer.cls);
  return classes;
}

constexpr auto ok = OutcomeClass::ok, malformed = OutcomeClass::malformed;
using Classes = std::vector<OutcomeClass>;

} // namespace

TEST_CASE("requests that differ in their input alone become one, with the inputs in their order") {
  const auto pack = packed({of_input(R"("b \"1\"")"), of_input(R"("")"), of_input(R"("a\u00e9")")});
  REQUIRE(pack);
  CHECK(pack->path == path);
  CHECK(pack->model == "m");
  CHECK(pack->body == R"({"model":"m","input":["b \"1\"","","a\u00e9"],"dimensions":8})");
}

TEST_CASE("the same input twice is asked for twice") {
  const auto pack = packed({of_input(R"("a")"), of_input(R"("a")")});
  REQUIRE(pack);
  CHECK(nlohmann::json::parse(pack->body)["input"] == nlohmann::json{"a", "a"});
}

TEST_CASE("a single request stays as it is, whatever it asks") {
  const Request chat = request(R"({"messages":[]})", "/chat/completions");
  const auto pack = packed({chat});
  REQUIRE(pack);
  CHECK(pack->path == chat.path);
  CHECK(pack->body == chat.body);
  const auto list = packed({of_input(R"(["a"])")});
  REQUIRE(list);
  CHECK(list->body == of_input(R"(["a"])").body);
}

TEST_CASE("requests that are not alike, or no texts to embed, are refused") {
  const Request first = of_input(R"("a")");
  const std::vector<std::pair<std::string, Request>> cases{
      {"another parameter", request(R"({"model":"m","input":"b","dimensions":9})")},
      {"one parameter more", request(R"({"model":"m","input":"b","dimensions":8,"user":"u"})")},
      {"another model", request(R"({"model":"n","input":"b","dimensions":8})")},
      {"another order", request(R"({"input":"b","model":"m","dimensions":8})")},
      {"another path", request(of_input(R"("b")").body, "/v2/embeddings")},
      {"a chat", request(of_input(R"("b")").body, "/chat/completions")},
      {"a list of inputs", of_input(R"(["b"])")},
      {"tokens", of_input("[1,2]")},
      {"a number", of_input("1")},
      {"null", of_input("null")},
      {"no input", request(R"({"model":"m","dimensions":8})")},
      {"no JSON", request("input")},
      {"nothing", request("")},
  };
  for (const auto& [what, other] : cases) {
    CAPTURE(what);
    for (const auto& both : {std::vector{first, other}, std::vector{other, first}}) {
      const auto pack = packed(both);
      REQUIRE_FALSE(pack);
      CHECK(pack.error().code == ErrorCode::bad_input);
    }
  }
  const Request chat = request(first.body, "/chat/completions");
  CHECK_FALSE(packed({chat, chat}));
}

TEST_CASE("each part gets the answer that has its index, as if it had been asked for alone") {
  const auto parts = parts_of(3);
  const auto answers =
      answers_of(reply_of(R"([{"object":"embedding","index":2,"embedding":[0.30,-0.0]},)"
                          R"({"object":"embedding","embedding":"AAAA","index":0},)"
                          R"({"index":1,"embedding":[]}])"),
                 parts);
  REQUIRE(classes_of(answers) == Classes{ok, ok, ok});
  for (std::size_t n = 0; n < parts.size(); ++n) CHECK(answers[n].part == parts[n]);
  CHECK(answers[0].body == R"({"object":"list","data":[{"object":"embedding","embedding":"AAAA",)"
                           R"("index":0}],"model":"m-\"1\""})");
  CHECK(answers[1].body ==
        R"({"object":"list","data":[{"index":0,"embedding":[]}],"model":"m-\"1\""})");
  CHECK(answers[2].body == R"({"object":"list","data":[{"object":"embedding","index":0,)"
                           R"("embedding":[0.30,-0.0]}],"model":"m-\"1\""})");
}

TEST_CASE("a part whose index is missing, doubled or no number gets no answer, and others do") {
  const auto [data, expected] = GENERATE(table<std::string, Classes>({
      {R"([{"index":0},{"index":2}])", {ok, malformed, ok}},
      {R"([{"index":0},{"index":1},{"index":1},{"index":2}])", {ok, malformed, ok}},
      {R"([{"index":1},{"index":1},{"index":1}])", {malformed, malformed, malformed}},
      {R"([{"index":0},{"index":3},{"index":99999999999999999999}])", {ok, malformed, malformed}},
      {R"([{"index":-1},{"index":1.5},{"index":"2"}])", {malformed, malformed, malformed}},
      {R"([{"embedding":[1]},{"index":1},7,null])", {malformed, ok, malformed}},
      {R"([])", {malformed, malformed, malformed}},
      {R"({})", {malformed, malformed, malformed}},
      {R"(null)", {malformed, malformed, malformed}},
  }));
  CAPTURE(data);
  const auto answers = answers_of(reply_of(data), parts_of(3));
  CHECK(classes_of(answers) == expected);
  for (const auto& answer : answers) CHECK(answer.body.empty() == (answer.cls == malformed));
}

TEST_CASE("an answer without a list answers nobody") {
  protocol::Reply reply = reply_of("[]");
  reply.body = GENERATE(as<std::string>{}, "", "{}", "[]", "no JSON", R"({"data")");
  CHECK(classes_of(answers_of(reply, parts_of(2))) == Classes{malformed, malformed});
}

TEST_CASE("a pack of the most inputs that a server takes is made and taken apart") {
  constexpr std::uint32_t most = 2'048;
  std::vector<Request> requests;
  std::string data;
  for (std::uint32_t n = 0; n < most; ++n) {
    requests.push_back(of_input(fmt::format("\"text {}\"", n)));
    const std::uint32_t back = most - 1 - n;
    data += fmt::format(R"({}{{"index":{},"embedding":[{}]}})", n == 0 ? "" : ",", back, back);
  }
  const auto pack = packed(requests);
  REQUIRE(pack);
  const auto inputs = nlohmann::json::parse(pack->body)["input"];
  REQUIRE(inputs.size() == most);
  CHECK(inputs[most - 1] == "text 2047");
  const auto answers = answers_of(reply_of("[" + data + "]"), parts_of(most));
  REQUIRE(answers.size() == most);
  for (std::uint32_t n = 0; n < most; ++n) {
    REQUIRE(answers[n].cls == ok);
    REQUIRE(answers[n].body.find(fmt::format("\"embedding\":[{}]", n)) != std::string::npos);
  }
}

} // namespace openai_pack_test
