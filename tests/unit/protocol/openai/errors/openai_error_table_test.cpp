// One row for each signal of the table of error classes, and the forms in which servers say it.
#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/reply/reply_headers.hpp"
#include "protocol/openai/request/render.hpp"

#include <catch2/catch.hpp>

namespace openai_error_table_test {

using namespace gristmill;
using namespace gristmill::openai;
using enum OutcomeClass;

namespace {

struct Row {
  std::uint16_t status;
  const char* body;
  OutcomeClass cls;
  const char* code;
  Api api = Api::chat;
};

std::string word_error(const char* type, const char* code) {
  return std::string{R"({"error":{"message":"no","type":")"} + type + R"(","param":null,"code":)" +
         (code == nullptr ? "null" : "\"" + std::string{code} + "\"") + "}}";
}

Reply reply_to(const Row& row, const Headers& headers = {}) {
  return read_reply(row.api, row.status, headers, row.body, 0);
}

} // namespace

TEST_CASE("A status without a known word gives its class", "[error_table]") {
  const auto row =
      GENERATE(Row{408, "", transient, "http_408"}, Row{409, "", transient, "http_409"},
               Row{500, "{}", transient, "http_500"}, Row{502, "<html>", gateway, "http_502"},
               Row{503, "{}", unavailable, "http_503"}, Row{504, "", gateway, "http_504"},
               Row{520, "", gateway, "http_520"}, Row{529, "", overload, "http_529"},
               Row{429, "{}", rate, "http_429"}, Row{402, "{}", quota, "http_402"},
               Row{400, "{}", bad_line, "http_400"}, Row{422, "{}", bad_line, "http_422"},
               Row{418, "", bad_line, "http_418"}, Row{401, "", config, "http_401"},
               Row{403, "", config, "http_403"}, Row{404, "", config, "http_404"},
               Row{405, "", config, "http_405"}, Row{301, "", config, "http_301"},
               Row{307, "", config, "http_307"}, Row{413, "", too_big, "http_413"},
               Row{424, "", unavailable, "http_424"}, Row{425, "", unavailable, "http_425"},
               Row{499, "", gateway, "http_499"}, Row{501, "", config, "http_501"},
               Row{407, "", config, "http_407"}, Row{410, "", config, "http_410"},
               Row{451, "", policy, "http_451"}, Row{434, "", config, "http_434"},
               Row{511, "", config, "http_511"}, Row{599, "", transient, "http_599"},
               Row{519, "", transient, "http_519"}, Row{530, "", gateway, "http_530"},
               Row{531, "", transient, "http_531"}, Row{299, "", transient, "bad_json"},
               Row{100, "", transient, "http_100"}, Row{0, "", transient, "http_0"},
               Row{999, "", transient, "http_999"});
  INFO(row.status);
  const Reply reply = reply_to(row);
  CHECK(reply.cls == row.cls);
  CHECK(reply.code == row.code);
  CHECK_FALSE(reply.message.empty());
}

TEST_CASE("A word in type or code decides before the status", "[error_table]") {
  struct WordRow {
    std::uint16_t status;
    const char* type;
    const char* code;
    OutcomeClass cls;
    const char* says;
  };
  const auto row = GENERATE(
      WordRow{503, "server_error", "server_is_overloaded", overload, "server_is_overloaded"},
      WordRow{529, "overloaded_error", nullptr, overload, "overloaded_error"},
      WordRow{429, "requests", "rate_limit_exceeded", rate, "rate_limit_exceeded"},
      WordRow{429, "tokens", "rate_limit_exceeded", rate, "rate_limit_exceeded"},
      WordRow{429, "rate_limit_error", nullptr, rate, "rate_limit_error"},
      WordRow{429, "requests", "slow_down", ramp, "slow_down"},
      WordRow{429, "slow_down", nullptr, ramp, "slow_down"},
      WordRow{429, "insufficient_quota", "insufficient_quota", quota, "insufficient_quota"},
      WordRow{429, "insufficient_quota", nullptr, quota, "insufficient_quota"},
      WordRow{429, "x", "credit_balance_exhausted", quota, "credit_balance_exhausted"},
      WordRow{429, "x", "organization_spend_limit_exceeded", quota,
              "organization_spend_limit_exceeded"},
      WordRow{429, "x", "project_spend_limit_exceeded", quota, "project_spend_limit_exceeded"},
      WordRow{429, "x", "organization_usage_limit_exceeded", quota,
              "organization_usage_limit_exceeded"},
      WordRow{429, "enforced_spend_limit_reached", nullptr, quota, "enforced_spend_limit_reached"},
      WordRow{400, "invalid_request_error", "context_length_exceeded", too_long,
              "context_length_exceeded"},
      WordRow{400, "request_too_large", nullptr, too_long, "request_too_large"},
      WordRow{413, "request_too_large", nullptr, too_long, "request_too_large"},
      WordRow{400, "invalid_request_error", nullptr, bad_line, "invalid_request_error"},
      WordRow{400, "invalid_request_error", "content_filter", policy, "content_filter"},
      WordRow{404, "invalid_request_error", "model_not_found", config, "model_not_found"},
      WordRow{401, "invalid_request_error", "invalid_api_key", config, "invalid_api_key"});
  INFO(row.status << " " << row.says);
  const std::string body = word_error(row.type, row.code);
  const Reply reply = read_reply(Api::chat, row.status, {}, body, 0);
  CHECK(reply.cls == row.cls);
  CHECK(reply.code == row.says);
  CHECK(reply.message == "no");
  CHECK(reply.body == body);
}

TEST_CASE("Each server's form of an error is read", "[error_table]") {
  const auto row = GENERATE(
      // OpenAI, of a call that would never fit
      Row{429,
          R"({"error":{"message":"Request too large for m on tokens per min (TPM): Limit 9, )"
          R"(Requested 10.","type":"tokens","param":null,"code":"rate_limit_exceeded"}})",
          too_long, "rate_limit_exceeded"},
      // vLLM, new and old
      Row{400,
          R"({"error":{"message":"This model's maximum context length is 9 tokens.",)"
          R"("type":"BadRequestError","param":null,"code":400}})",
          too_long, "BadRequestError"},
      Row{400,
          R"({"object":"error","message":"This model's maximum context length is 9 tokens.",)"
          R"("type":"BadRequestError","param":null,"code":400})",
          too_long, "BadRequestError"},
      Row{404, R"({"object":"error","message":"no model","type":"NotFoundError","code":404})",
          config, "NotFoundError"},
      // Anthropic
      Row{529, R"({"type":"error","error":{"type":"overloaded_error","message":"m"}})", overload,
          "overloaded_error"},
      // Azure
      Row{400,
          R"({"error":{"message":"filtered","code":"content_filter","innererror":)"
          R"({"code":"ResponsibleAIPolicyViolation"}}})",
          policy, "content_filter"},
      Row{400,
          R"({"error":{"message":"m","code":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}})",
          policy, "x"},
      // a plain string, and nothing known
      Row{500, R"({"error":"model not loaded"})", transient, "http_500"},
      Row{400, R"({"detail":"wrong"})", bad_line, "http_400"},
      // a pack of embedding inputs
      Row{400,
          R"({"error":{"message":"m","type":"max_tokens_per_request","code":"max_tokens_per_request"}})",
          too_big, "max_tokens_per_request", Api::embeddings},
      Row{400,
          R"({"error":{"message":"Requested 5, max 300000 tokens per request","type":"t","code":null}})",
          too_big, "t", Api::embeddings},
      Row{400, R"({"error":{"message":"maximum request size is 3","type":"t","code":null}})",
          too_big, "t", Api::embeddings},
      // the message of one class under the status of another
      Row{500, R"({"error":{"message":"maximum context length"}})", transient, "http_500"});
  INFO(row.body);
  const Reply reply = reply_to(row);
  CHECK(reply.cls == row.cls);
  CHECK(reply.code == row.code);
  CHECK_FALSE(reply.message.empty());
  CHECK(reply.body == row.body);
}

TEST_CASE("An error inside a 200 is no answer", "[error_table]") {
  const auto row = GENERATE(
      Row{200, R"({"base_resp":{"status_code":1002,"status_msg":"rate limit"},"choices":null})",
          rate, "1002"},
      Row{200, R"({"base_resp":{"status_code":1008,"status_msg":"balance"}})", quota, "1008"},
      Row{200, R"({"base_resp":{"status_code":1004,"status_msg":"auth"}})", config, "1004"},
      Row{200, R"({"base_resp":{"status_code":1026,"status_msg":"sensitive"}})", policy, "1026"},
      Row{200, R"({"base_resp":{"status_code":2013,"status_msg":"params"}})", bad_line, "2013"},
      Row{200, R"({"base_resp":{"status_code":1000,"status_msg":"?"}})", transient, "1000"},
      Row{200, R"({"error":{"message":"busy","code":502}})", transient, "502"},
      Row{200, R"({"error":{"message":"busy","code":529}})", overload, "529"},
      Row{200, R"({"error":{"message":"busy","code":501}})", config, "501"},
      Row{200, R"({"error":{"message":"slow","code":429}})", rate, "429"},
      Row{200, R"({"error":{"message":"no","code":"insufficient_quota"}})", quota,
          "insufficient_quota"},
      Row{200, R"({"object":"error","message":"no","type":"BadRequestError","code":400})", bad_line,
          "BadRequestError"},
      Row{200, R"({"status":"failed","error":{"code":"server_error","message":"m"},"output":[]})",
          transient, "server_error", Api::responses},
      Row{200,
          R"({"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"},"output":[]})",
          rate, "rate_limit_exceeded", Api::responses});
  INFO(row.body);
  const Reply reply = reply_to(row);
  CHECK(reply.cls == row.cls);
  CHECK(reply.code == row.code);
  CHECK(reply.body.empty());
  CHECK_FALSE(reply.message.empty());
}

TEST_CASE("x-should-retry overrules a status that speaks of the request, and nothing else",
          "[error_table]") {
  struct HeaderRow {
    std::uint16_t status;
    const char* code;
    const char* should;
    OutcomeClass cls;
  };
  const auto row = GENERATE(
      HeaderRow{500, "x", "false", bad_line}, HeaderRow{500, "x", "true", transient},
      HeaderRow{408, "x", "false", bad_line}, HeaderRow{400, "x", "true", transient},
      HeaderRow{400, "x", "false", bad_line}, HeaderRow{401, "x", "true", config},
      HeaderRow{401, "x", "false", config}, HeaderRow{500, "x", "maybe", transient},
      HeaderRow{429, "x", "false", rate}, HeaderRow{429, "insufficient_quota", "true", quota},
      HeaderRow{429, "slow_down", "false", ramp},
      HeaderRow{400, "context_length_exceeded", "true", too_long},
      HeaderRow{529, "x", "false", overload}, HeaderRow{402, "x", "false", quota});
  INFO(row.status << " " << row.code << " " << row.should);
  CHECK(read_reply(Api::chat, row.status, {{"x-should-retry", row.should}},
                   word_error("t", row.code), 0)
            .cls == row.cls);
}

} // namespace openai_error_table_test
