// What providers and servers were seen to say: each sample with its class and with words of it that
// people have to see.
#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/errors/words.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/reply/reply_headers.hpp"
#include "tests/unit/protocol/openai/errors/error_samples_request.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

namespace openai_error_words_test {

using namespace gristmill;
using namespace gristmill::openai;
using namespace gristmill::error_samples;

namespace {

Reply reply_to(const Sample& sample) {
  return read_reply(sample.api, sample.status, {}, sample.body, 0);
}

} // namespace

TEST_CASE("What providers say has its class, and people see the words", "[error_words]") {
  for (const auto samples : {std::span<const Sample>{of_accounts}, {of_requests}})
    for (const Sample& sample : samples) {
      CAPTURE(sample.provider, sample.status, sample.body);
      const Reply reply = reply_to(sample);
      CHECK(info(reply.cls).name == info(sample.cls).name);
      CHECK_THAT(reply.message, Catch::Contains(sample.shown));
      CHECK_FALSE(reply.code.empty());
    }
}

TEST_CASE("Every row is spelled in small letters, has its source, and can match", "[error_words]") {
  std::set<std::pair<In, std::string_view>> words;
  for (const auto rows : {rows_of_accounts(), rows_of_requests()})
    for (const WordRow& row : rows) {
      CAPTURE(row.word);
      CHECK(json::small_letters(row.word) == row.word);
      CHECK_FALSE(row.source.provider.empty());
      CHECK_FALSE(row.source.where.empty());
      CHECK(row.at.low <= row.at.high);
      CHECK(row.cls != ok);
      CHECK(words.emplace(row.in, row.word).second); // a second one would never decide
      ErrorBody error;
      (row.in == In::text ? error.message : error.code) = row.word;
      CHECK(row_that_matches(row.at.low, error) != nullptr);
    }
}

// What is said once in a while, in other words than the samples above.
TEST_CASE("Words that are varied have the class of their kind", "[error_words]") {
  const auto [status, message, cls] = GENERATE(table<std::uint16_t, const char*, OutcomeClass>({
      {403, "Your input was flagged for 'violence'. No credits were charged.", policy},
      {403, "No credits left on this account", quota},
      {429, "You have used up your daily free allocation of 10,000 neurons", quota},
      {403, "API rate limit exceeded for 10.0.0.1", rate},
      {400, "Too many requests, slow down", rate},
      {500, "Too many requests", rate},
      {420, "Enhance your calm", rate},
      {500, "timed out waiting for llama runner to start: context canceled", unavailable},
      {500, "ModelNotReady: model m is not ready", unavailable},
      {500, "Model is warming up", unavailable},
      {409, "Model m is loading", unavailable},
      {423, "Locked", unavailable},
      {400, "DEGRADED function cannot be invoked", unavailable},
      {400, "The model `llama3-70b` has been decommissioned", config},
      {400, "Model does not exist. Please check it carefully.", config},
      {404, "The model `m` does not exist.", config},
      {400, "model 'x:7b' not found", config},
      {400, "This organization has been disabled.", config},
      {400, "Missing or invalid Authorization header.", config},
      {400, "The image was not found at the URL; the model needs one", bad_line},
      {400, "This model failed: image not found", bad_line},
      {400, "Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens)",
       too_long},
  }));
  CAPTURE(status, message);
  const std::string body = R"({"error":{"message":")" + std::string{message} + R"("}})";
  CHECK(info(read_reply(Asked{}, status, {}, body, 0).cls).name == info(cls).name);
}

TEST_CASE("Errors by place are told with their places", "[error_words]") {
  const Reply reply = read_reply(
      Asked{}, 400, {},
      R"({"type":"https://tools.ietf.org/html/rfc9110#section-15.5.1","title":"One or more )"
      R"(validation errors occurred.","status":400,)"
      R"("errors":{"messages":["The messages field is required."]}})",
      0);
  CHECK_THAT(reply.message, Catch::Contains("messages: The messages field is required."));
  CHECK(reply.code != "section-15.5.1");
}

TEST_CASE("A parameter that is the model is one of the setup", "[error_words]") {
  const auto [param, cls] =
      GENERATE(table<const char*, OutcomeClass>({{"model", config}, {"temperature", bad_line}}));
  const std::string body =
      R"({"error":{"message":"Unsupported value","param":")" + std::string{param} + R"("}})";
  CHECK(info(read_reply(Asked{}, 400, {}, body, 0).cls).name == info(cls).name);
}

TEST_CASE("What a message repeats of the request says nothing", "[error_words]") {
  const char* message = GENERATE(
      R"([{'type': 'value_error', 'loc': ('body',), 'msg': 'bad', 'input': {'messages': 'no credits'}}])",
      R"(1 validation error [type=missing, input_value={'a': 'invalid api key'}, input_type=dict])",
      R"(litellm: bad request. Received={'messages': [{'content': 'content policy'}]})");
  CAPTURE(message);
  const std::string body =
      R"({"object":"error","message":")" + std::string{message} + R"(","code":400})";
  CHECK(info(read_reply(Asked{}, 400, {}, body, 0).cls).name == info(bad_line).name);
}

TEST_CASE("Whether to retry is not asked of a server that is away or of a wrong key",
          "[error_words]") {
  const auto [status, told, cls] =
      GENERATE(table<std::uint16_t, const char*, OutcomeClass>({{503, "false", unavailable},
                                                                {502, "false", gateway},
                                                                {401, "true", config},
                                                                {500, "false", bad_line},
                                                                {400, "true", transient}}));
  CAPTURE(status);
  const Headers headers{{"x-should-retry", told}};
  CHECK(info(read_reply(Asked{}, status, headers, "{}", 0).cls).name == info(cls).name);
}

TEST_CASE("A refusal asks for its wait in the body, too", "[error_words]") {
  const auto [body, wait_ms] = GENERATE(table<const char*, std::int64_t>({
      {R"([{"error":{"code":429,"message":"m","details":[{"retryDelay":"34.5s"}]}}])", 34'500},
      {R"({"error":{"message":"Rate limit reached. Please try again in 7.66s. Visit x"}})", 7'660},
      {R"({"error":{"message":"Please try again in 6m0s."}})", 360'000},
      {R"({"error":{"message":"Please retry after 6 seconds."}})", 6'000},
      {R"({"error":{"message":"try again in 20ms"}})", 20},
      {R"({"error":{"message":"m"},"retry_after":3})", 3'000},
      {R"({"error":"loading","estimated_time":20.0})", 20'000},
      {R"({"error":{"message":"try again in 90m"}})", 600'000},
      {R"({"error":{"message":"try again in a while"}})", -1},
      {R"({"error":{"message":"m","retry_after":-3}})", -1},
  }));
  CAPTURE(body);
  CHECK(read_reply(Api::chat, 429, {}, body, 0).retry_after_ms == wait_ms);
  CHECK(read_reply(Api::chat, 429, {{"retry-after", "1"}}, body, 0).retry_after_ms == 1'000);
}

} // namespace openai_error_words_test
