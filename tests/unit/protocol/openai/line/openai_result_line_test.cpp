// Result lines: their form, and that no damage to one goes unseen.
#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/line/batch_line.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/text/crc32c.hpp"
#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <nlohmann/json.hpp>

namespace openai_result_line_test {

using namespace gristmill;
using namespace gristmill::openai;
using namespace std::string_literals;

namespace {

protocol::Outcome answered() {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::ok;
  outcome.http_status = 200;
  outcome.request_id = "req_1";
  outcome.body = R"({"choices":[{"message":{"content":"hi"}}]})";
  return outcome;
}

const Provenance about{"in.jsonl:7", 2, "m", "http://h:1/v1", 1234, false, 6, ""};

nlohmann::json line_for(const protocol::Outcome& outcome) {
  const std::string line = result_line(JobId{3}, "id \"1\"", outcome, about);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(check_result_line(line));
  return nlohmann::json::parse(line);
}

} // namespace

TEST_CASE("An answer's line has the batch output form", "[result_line]") {
  const auto line = line_for(answered());
  CHECK(line["id"] == "batch_req_3_6");
  CHECK(line["custom_id"] == "id \"1\"");
  CHECK(line["response"]["status_code"] == 200);
  CHECK(line["response"]["request_id"] == "req_1");
  CHECK(line["response"]["body"]["choices"][0]["message"]["content"] == "hi");
  CHECK(line["error"].is_null());
  auto ours = line["gristmill"];
  CHECK(ours["crc"].get<std::string>().size() == 8);
  ours.erase("crc");
  CHECK(ours == nlohmann::json{{"source", "in.jsonl:7"},
                               {"attempts", 2},
                               {"model", "m"},
                               {"endpoint", "http://h:1/v1"},
                               {"latency_ms", 1234},
                               {"cached", false},
                               {"item", 6}});
}

TEST_CASE("Kept fields stand in the line as they were spelled, on one line", "[result_line]") {
  Provenance with = about;
  with.input = kept_fields("{\"a\":1.50,\"b\":[1,\r2],\"c\":\"\\u00e9\",\"id\":\"x\",\"a\":2.0}",
                           {"id", "c", "none", "b", "a"});
  CHECK(with.input == R"({"id":"x","c":"\u00e9","b":[1,2],"a":2.0})");
  const std::string line = result_line(JobId{3}, "x", answered(), with);
  REQUIRE(check_result_line(line));
  CHECK(line.find(R"("source":"in.jsonl:7","input":{"id":"x")") != std::string::npos);
  CHECK(nlohmann::json::parse(line)["gristmill"]["input"]["b"][1] == 2);
  CHECK(kept_fields("{}", {"a"}) == "{}");
  CHECK(kept_fields("[1]", {"a"}).empty());
  CHECK(kept_fields("no object", {"a"}).empty());
  CHECK(kept_fields("{\"a\":tru,\"b\":1}", {"a", "b"}) == R"({"b":1})");
}

TEST_CASE("A failure over HTTP keeps the endpoint's body, or gets one of the same form",
          "[result_line]") {
  protocol::Outcome outcome = answered();
  outcome.cls = OutcomeClass::bad_line;
  outcome.http_status = 400;
  outcome.code = "c";
  outcome.message = "m";
  outcome.body = R"({"error":{"message":"theirs"}})";
  CHECK(line_for(outcome)["response"]["body"]["error"]["message"] == "theirs");
  CHECK(line_for(outcome)["gristmill"]["class"] == "bad_line");
  CHECK(line_for(outcome)["gristmill"]["code"] == "c");
  CHECK(line_for(outcome)["gristmill"]["message"] == "m");
  outcome.body.clear();
  const auto line = line_for(outcome);
  CHECK(line["error"].is_null());
  CHECK(line["response"]["status_code"] == 400);
  CHECK(line["response"]["body"] ==
        nlohmann::json::parse(
            R"({"error":{"message":"m","type":"bad_line","param":null,"code":"c"}})"));
}

TEST_CASE("A failure without an HTTP answer, or behind a 200, is an error and no response",
          "[result_line]") {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::timeout;
  outcome.http_status = GENERATE(std::uint16_t{0}, std::uint16_t{200});
  const auto line = line_for(outcome);
  CHECK(line["response"].is_null());
  CHECK(line["error"]["code"] == "timeout");
  CHECK_FALSE(line["gristmill"].contains("code"));
  CHECK(line["error"]["message"] == "no complete answer within the call's timeout");
  outcome.code = "connect";
  outcome.message = "refused";
  CHECK(line_for(outcome)["error"] == nlohmann::json{{"code", "connect"}, {"message", "refused"}});
}

TEST_CASE("A label stands before the item's number and is sealed with it", "[result_line]") {
  Provenance labelled = about;
  labelled.label = "a \"b\"";
  const std::string line = result_line(JobId{3}, "x", answered(), labelled);
  CHECK(line.find(R"("cached":false,"label":"a \"b\"","item":6,"crc":")") != line.npos);
  CHECK(check_result_line(line)->item == 6);
  CHECK(result_line(JobId{3}, "x", answered(), about).find("label") == std::string::npos);
}

TEST_CASE("What several models said stands before the item's number, as it was given",
          "[result_line]") {
  Provenance of_models = about;
  of_models.models.emplace();
  of_models.models->answers = R"([{"model":"a"},1.50])";
  protocol::Outcome failed;
  failed.cls = OutcomeClass::timeout;
  failed.code = "model_failed";
  failed.message = "m";
  std::string line = result_line(JobId{3}, "x", failed, of_models);
  CHECK(line.find(R"("response":null,"error":{"code":"model_failed","message":"m"},)") !=
        line.npos);
  CHECK(line.find(R"("cached":false,"class":"timeout","answers":[{"model":"a"},1.50],"item":6,)") !=
        line.npos);
  CHECK(check_result_line(line)->item == 6);

  of_models.models->response = R"({"status_code":200,"body":2e0})";
  line = result_line(JobId{3}, "x", failed, of_models);
  CHECK(line.find(R"("response":{"status_code":200,"body":2e0},"error":{"code":"model_failed",)") !=
        line.npos);

  of_models.models->judge = R"({"model":"j"})";
  of_models.votes = R"({"y":1,"x":1})";
  of_models.tie = true;
  line = result_line(JobId{3}, "x", answered(), of_models);
  CHECK(line.find(R"("response":{"status_code":200,"body":2e0},"error":null,)") != line.npos);
  CHECK(line.find(R"("cached":false,"label":null,"votes":{"y":1,"x":1},"tie":true,)"
                  R"("answers":[{"model":"a"},1.50],"judge":{"model":"j"},"item":6,)") !=
        line.npos);
  of_models.label = "x";
  line = result_line(JobId{3}, "x", answered(), of_models);
  CHECK(line.find(R"("cached":false,"label":"x","votes":)") != line.npos);
}

TEST_CASE("Any bytes in names give a line of valid JSON", "[result_line]") {
  const Provenance odd{"a\n\xff.txt:1", 1, "m\"", "\x01", 0, true, 0, ""};
  const std::string line = result_line(JobId{1}, "\xc3\n\"\\\0"s, answered(), odd);
  CHECK(json::check(line));
  CHECK(line.find('\n') == std::string::npos);
  CHECK(check_result_line(line));
}

TEST_CASE("The item's number is read back from the tail", "[result_line]") {
  Provenance at = about;
  at.item = GENERATE(0u, 1u, 9u, 10u, 123'456'789u, std::numeric_limits<std::uint64_t>::max());
  CHECK(check_result_line(result_line(JobId{1}, "x", answered(), at))->item == at.item);
}

TEST_CASE("Damage of any bit of a line is seen", "[result_line]") {
  const std::string whole = result_line(JobId{1}, "x", answered(), about);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string line = whole;
      line[at] = static_cast<char>(line[at] ^ (1 << bit));
      if (check_result_line(line)) FAIL("bit " << bit << " of byte " << at << " may be flipped");
    }
  }
}

TEST_CASE("A line that is cut, extended or joined to another is refused", "[result_line]") {
  const std::string whole = result_line(JobId{1}, "x", answered(), about);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    if (check_result_line(std::string_view{whole}.substr(0, bytes)))
      FAIL("accepted when cut at " << bytes);
  CHECK_FALSE(check_result_line(whole + "\n"));
  CHECK_FALSE(check_result_line(" " + whole));
  CHECK_FALSE(check_result_line(whole + whole));
  CHECK_FALSE(check_result_line("{}"));
}

TEST_CASE("A right CRC without an item's number is refused", "[result_line]") {
  const auto sealed = [](const std::string& text) {
    char crc[9];
    std::snprintf(crc, sizeof crc, "%08x", crc32c(text));
    return text + ",\"crc\":\"" + crc + "\"}}";
  };
  CHECK(check_result_line(sealed("\"item\":5")));
  CHECK_FALSE(check_result_line(sealed("\"item\":")));
  CHECK_FALSE(check_result_line(sealed("\"item\":-5")));
  CHECK_FALSE(check_result_line(sealed("5")));
  CHECK_FALSE(check_result_line(sealed("")));
  CHECK_FALSE(check_result_line(sealed("\"item\":18446744073709551616")));
}

TEST_CASE("CRC-32C has the published check value in both ways", "[result_line]") {
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c_by_table("123456789", 0) == 0xe3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau); // RFC 3720, B.4
  CHECK(crc32c("") == 0);
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    CHECK(crc32c(bytes) == crc32c_by_table(bytes, 0));
    CHECK(crc32c(bytes, crc32c("before")) == crc32c("before" + bytes));
    bytes += static_cast<char>(i * 37);
  }
}

} // namespace openai_result_line_test
