// Lines of items that are made of the lines of their parts.
#include "protocol/limits.hpp"
#include "protocol/openai/line/joined_line.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace openai_joined_line_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

struct Part {
  OutcomeClass cls = OutcomeClass::ok;
  std::string line;
};

Provenance part_about(std::uint32_t part) {
  Provenance about{"in.jsonl:7", 1, "m", "http://h:1/v1", 100, false, 6};
  about.part = part;
  return about;
}

Part answered(std::uint32_t part, std::string body) {
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  reply.body = std::move(body);
  return {OutcomeClass::ok, result_line(JobId{3}, "x", reply, part_about(part))};
}

Part said(std::uint32_t part, const std::string& text) {
  const nlohmann::json message{{"role", "assistant"}, {"content", text}};
  return answered(part, nlohmann::json{{"choices", {{{"index", 0}, {"message", message}}}}}.dump());
}

Part failed(std::uint32_t part, OutcomeClass cls, std::string code, std::string message,
            std::uint16_t http_status = 0) {
  protocol::Reply reply;
  reply.cls = cls;
  reply.http_status = http_status;
  reply.code = std::move(code);
  reply.message = std::move(message);
  return {cls, result_line(JobId{3}, "x", reply, part_about(part))};
}

const Provenance item_about{"in.jsonl:7", 0, "", "", 0, false, 6, R"({"k":[1.50]})"};

JoinedLine joined(const std::vector<Part>& parts, const Provenance& about = item_about) {
  std::vector<PartText> texts;
  for (const Part& part : parts) texts.push_back({part.cls, part.line});
  JoinedLine joined = joined_line(JobId{3}, "id \"1\"", about, texts, limits::line_bytes_max);
  CHECK(joined.line.find('\n') == std::string::npos);
  const auto read = check_result_line(joined.line);
  REQUIRE(read);
  CHECK(read->item == about.item);
  CHECK_FALSE(read->part);
  return joined;
}

nlohmann::json json_of(const std::vector<Part>& parts) {
  return nlohmann::json::parse(joined(parts).line);
}

std::string text_of(const std::vector<Part>& parts) {
  return json_of(parts)["response"]["body"]["choices"][0]["message"]["content"];
}

} // namespace

TEST_CASE("texts of chats are joined in the order of the parts, as one answer of one choice") {
  const auto line = json_of({said(0, "one\n"), said(1, ""), said(2, "\"two\" \u00e9\\")});
  CHECK(line["id"] == "batch_req_3_6");
  CHECK(line["custom_id"] == "id \"1\"");
  CHECK(line["error"].is_null());
  CHECK(line["response"]["status_code"] == 200);
  CHECK(line["response"]["body"] ==
        nlohmann::json::parse(
            R"({"object":"chat.completion","model":"m","choices":[{"index":0,"message":)"
            R"({"role":"assistant","content":"one\n\"two\" é\\"},"finish_reason":"stop"}]})"));
}

TEST_CASE("a joined line says what all its calls took, and what its item alone has") {
  std::vector<Part> parts{said(0, "a"), said(1, "b"), said(2, "c")};
  protocol::Reply slow;
  slow.cls = OutcomeClass::ok;
  slow.http_status = 200;
  slow.body = R"({"choices":[{"message":{"content":"b"}}]})";
  Provenance other = part_about(1);
  other.attempts = 4;
  other.latency_ms = 2'500;
  other.model = "n";
  other.endpoint = "http://other";
  parts[1].line = result_line(JobId{3}, "x", slow, other);
  auto ours = json_of(parts)["gristmill"];
  ours.erase("crc");
  CHECK(ours == nlohmann::json{{"source", "in.jsonl:7"},
                               {"input", {{"k", {1.5}}}},
                               {"attempts", 6},
                               {"model", "m"},
                               {"endpoint", "http://h:1/v1"},
                               {"latency_ms", 2'500},
                               {"cached", false},
                               {"item", 6}});
  CHECK(joined(parts).line.find(R"("input":{"k":[1.50]})") != std::string::npos);
}

TEST_CASE("an answer without text adds none; of one part alone nothing is lost") {
  CHECK(text_of({said(0, "only")}) == "only");
  CHECK(text_of({said(0, "a"), answered(1, R"({"choices":[{"message":{"content":null}}]})"),
                 said(2, "c")}) == "ac");
}

TEST_CASE("answers that are no chats stand in a list, in the order of the parts, as they were") {
  const std::string first = R"({"object":"list","data":[{"index":0,"embedding":[1.50,-0.0]}]})",
                    second = R"({"object":"list","data":[{"index":0,"embedding":[2e-3]}]})";
  const JoinedLine line = joined({answered(0, first), answered(1, second)});
  CHECK(line.cls == OutcomeClass::ok);
  CHECK(line.line.find(fmt::format(R"("body":{{"object":"list","data":[{},{}]}})", first,
                                   second)) != std::string::npos);
}

TEST_CASE("an item of which a part failed has failed like the first of them, and says which") {
  const JoinedLine line = joined(
      {said(0, "a"), failed(1, OutcomeClass::too_long, "context_length_exceeded", "too long"),
       failed(2, OutcomeClass::policy, "filtered", "no")});
  CHECK(line.cls == OutcomeClass::too_long);
  CHECK(line.code == "part_failed");
  const auto json = nlohmann::json::parse(line.line);
  CHECK(json["response"].is_null());
  CHECK(json["error"] ==
        nlohmann::json{{"code", "part_failed"},
                       {"message", "part 2 of 3 failed: context_length_exceeded: too long"}});
  CHECK(json["gristmill"]["class"] == "too_long");
  CHECK(json["gristmill"]["attempts"] == 3);
}

TEST_CASE("what a part's failure said is read from where its line has it") {
  const auto [status, code, message, expected] =
      GENERATE(table<std::uint16_t, std::string, std::string, std::string>(
          {{0, "refused", "nobody listens", "refused: nobody listens"},
           {400, "bad", "your fault", "bad: your fault"},
           {400, "bad", "", "bad"},
           {400, "", "", "bad_line"},
           {0, "", "", "bad_line: the request itself is wrong"}}));
  CAPTURE(status, code, message);
  const auto line =
      json_of({failed(0, OutcomeClass::bad_line, code, message, status), said(1, "b")});
  const std::string told = line["error"]["message"];
  if (expected.ends_with("wrong"))
    CHECK_THAT(told, Catch::StartsWith("part 1 of 2 failed: bad_line: "));
  else
    CHECK(told == "part 1 of 2 failed: " + expected);
}

TEST_CASE("an item whose parts were cancelled was cancelled") {
  const JoinedLine line = joined(
      {said(0, "a"), failed(1, OutcomeClass::cancelled, "cancelled", "the job was cancelled")});
  CHECK(line.cls == OutcomeClass::cancelled);
  CHECK(line.code == "cancelled");
  CHECK(nlohmann::json::parse(line.line)["error"]["message"] ==
        "part 2 of 2 failed: cancelled: the job was cancelled");
}

TEST_CASE("many parts and long ones are joined whole") {
  std::vector<Part> parts;
  std::string all;
  for (std::uint32_t n = 0; n < 3'000; ++n) {
    const std::string text = n == 7 ? std::string(1u << 20, 'x') : fmt::format("{},", n);
    parts.push_back(said(n, text));
    all += text;
  }
  const auto line = json_of(parts);
  CHECK(line["response"]["body"]["choices"][0]["message"]["content"] == all);
  CHECK(line["gristmill"]["attempts"] == 3'000);
}

} // namespace openai_joined_line_test
