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

std::vector<protocol::Answer> taken_apart(const protocol::Reply& reply, std::uint32_t count) {
  return answers_of(reply, parts_of(count), std::vector<std::uint64_t>(count));
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
                 parts, {3, 3, 3});
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
      {R"([{"index":1},{"index":1},{"index":0}])", {ok, malformed, malformed}},
      {R"([{"index":0},{"index":3},{"index":99999999999999999999}])", {ok, malformed, malformed}},
      {R"([{"index":-1},{"index":1.5},{"index":"2"}])", {malformed, malformed, malformed}},
      {R"([{"embedding":[1]},{"index":1},7,null])", {ok, ok, malformed}},
      {R"([])", {malformed, malformed, malformed}},
      {R"({})", {malformed, malformed, malformed}},
      {R"(null)", {malformed, malformed, malformed}},
  }));
  CAPTURE(data);
  const auto answers = taken_apart(reply_of(data), 3);
  CHECK(classes_of(answers) == expected);
  for (const auto& answer : answers) CHECK(answer.body.empty() == (answer.cls == malformed));
}

TEST_CASE("servers number their answers from 0 on, from 1 on, or not at all") {
  const std::string data = GENERATE(
      as<std::string>{}, R"([{"v":7,"index":0},{"v":8,"index":1},{"v":9,"index":2}])",
      R"([{"v":8,"index":2},{"v":7,"index":1},{"v":9,"index":3}])", R"([{"v":7},{"v":8},{"v":9}])",
      R"([{"v":7,"index":0},{"v":8,"index":0},{"v":9,"index":0}])");
  CAPTURE(data);
  const auto answers = taken_apart(reply_of(data), 3);
  REQUIRE(classes_of(answers) == Classes{ok, ok, ok});
  for (int n = 0; n < 3; ++n)
    CHECK(nlohmann::json::parse(answers[n].body)["data"][0]["v"] == 7 + n);
}

TEST_CASE("the whole's usage is divided by the lengths of the inputs, and nothing of it is lost") {
  const auto [prompt, lengths, expected] =
      GENERATE(table<std::uint64_t, std::vector<std::uint64_t>, std::vector<std::uint64_t>>({
          {9, {2, 2, 2}, {3, 3, 3}},
          {10, {2, 2, 2}, {3, 3, 4}},
          {2, {2, 2, 2}, {0, 1, 1}},
          {0, {2, 2, 2}, {0, 0, 0}},
          {100, {7, 0, 89}, {8, 1, 91}},
          {~std::uint64_t{0},
           {0, 0, 0},
           {6148914691236517205, 6148914691236517205, 6148914691236517205}},
      }));
  protocol::Reply reply = reply_of(R"([{"index":0},{"index":1},{"index":2}])");
  reply.usage.known = true;
  reply.usage.prompt = prompt;
  const auto answers = answers_of(reply, parts_of(3), lengths);
  for (std::size_t n = 0; n < 3; ++n) {
    const auto usage = nlohmann::json::parse(answers[n].body)["usage"];
    CHECK(usage == nlohmann::json{{"prompt_tokens", expected[n]}, {"total_tokens", expected[n]}});
  }
  CHECK(input_lengths(of_input(R"(["a","",  "bcd"])")) == std::vector<std::uint64_t>{3, 2, 5});
}

TEST_CASE("those that agree in all but one text share a key, and others do not") {
  JobSpec spec, embeds, assumes;
  embeds.shape.task = Task::embed;
  assumes.shape.assume_url = "/v1/embeddings";
  const auto line = [](const std::string& body, const std::string& url = "/v1/embeddings") {
    return fmt::format(R"({{"custom_id":"{}","method":"POST","url":"{}","body":{}}})", body.size(),
                       url, body);
  };
  const auto key = [&](const std::string& raw) {
    return pack_key(spec, ItemKind::batch_line, raw);
  };
  const std::uint64_t one = key(line(R"({"model":"m","input":"a"})"));
  CHECK(one != 0);
  CHECK(one == key(line(R"({"model":"m","input":"b \" longer"})")));
  CHECK(one != key(line(R"({"model":"n","input":"a"})")));
  CHECK(one != key(line(R"({"model":"m","input":"a","dimensions":8})")));
  CHECK(one != key(line(R"({"input":"a","model":"m"})")));
  for (const char* body : {R"({"model":"m","input":["a"]})", R"({"model":"m","input":[1,2]})",
                           R"({"model":"m"})", R"([])", "7"}) {
    CAPTURE(body);
    CHECK(key(line(body)) == 0);
  }
  CHECK(key(line(R"({"model":"m","input":"a"})", "/v1/chat/completions")) == 0);
  CHECK(key("no JSON") == 0);
  const std::string short_one = R"({"custom_id":"1","body":{"model":"m","input":"a"}})";
  CHECK(key(short_one) == 0);
  CHECK(pack_key(assumes, ItemKind::batch_line, short_one) != 0);
  CHECK(pack_key(embeds, ItemKind::text, "a") != 0);
  CHECK(pack_key(embeds, ItemKind::text, "a") == pack_key(embeds, ItemKind::text, "b"));
  CHECK(pack_key(spec, ItemKind::text, "a") == 0); // of a chat
  embeds.shape.params = R"({"input":"always this"})";
  CHECK(pack_key(embeds, ItemKind::text, "a") == 0);
}

TEST_CASE("an answer without a list answers nobody") {
  protocol::Reply reply = reply_of("[]");
  reply.body = GENERATE(as<std::string>{}, "", "{}", "[]", "no JSON", R"({"data")");
  CHECK(classes_of(taken_apart(reply, 2)) == Classes{malformed, malformed});
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
  const auto answers = taken_apart(reply_of("[" + data + "]"), most);
  REQUIRE(answers.size() == most);
  for (std::uint32_t n = 0; n < most; ++n) {
    REQUIRE(answers[n].cls == ok);
    REQUIRE(answers[n].body.find(fmt::format("\"embedding\":[{}]", n)) != std::string::npos);
  }
}

} // namespace openai_pack_test
