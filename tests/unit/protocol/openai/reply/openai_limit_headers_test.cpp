// Limits as servers name them in their headers.
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/limit_headers.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/reply/reply_headers.hpp"

#include <catch2/catch.hpp>

namespace openai_limit_headers_test {

using namespace gristmill;
using namespace gristmill::openai;
using protocol::LimitHint;
using Name = LimitHint::Name;

TEST_CASE("A reset is a duration or a time", "[headers]") {
  constexpr std::int64_t now = 1'800'000'000; // 2027-01-15T08:00:00Z
  const auto [text, ms] = GENERATE(table<std::string, std::optional<std::int64_t>>({
      {"1s", 1'000},
      {"6m0s", 360'000},
      {"12ms", 12},
      {"2m59.56s", 179'560},
      {"1h2m3.5s", 3'723'500},
      {"500us", 1},
      {"0", 0},
      {"0s", 0},
      {"2.5", 2'500},
      {"60", 60'000},
      {"-3", 0},
      {"1800000030", 30'000},
      {"1800000030000", 30'000},
      {"2027-01-15T08:00:30Z", 30'000},
      {"2027-01-15T08:00:30.5Z", 30'500},
      {"2027-01-15T10:00:30+02:00", 30'000},
      {"2027-01-15T07:00:30-01:00", 30'000},
      {"2027-01-15T07:59:00Z", 0},
      {"240h", 604'800'000}, // a week at most
      {"", std::nullopt},
      {"soon", std::nullopt},
      {"5x", std::nullopt},
      {"s", std::nullopt},
      {"-1s", std::nullopt},
      {"nan", std::nullopt},
      {"2027-02-30T08:00:30Z", std::nullopt},
      {"2027-01-15T08:00:30", std::nullopt},
      {"2027-01-15T10:00:30+0200", 30'000},
      {"2027-01-15", std::nullopt},
  }));
  INFO(text);
  CHECK(reset_ms_of(text, now) == ms);
}

TEST_CASE("Limits are read under every name that is known", "[headers]") {
  struct Row {
    Headers headers;
    std::vector<LimitHint> read;
  };
  const auto row = GENERATE(
      Row{{}, {}},
      Row{{{"x-ratelimit-limit-requests", "600"},
           {"x-ratelimit-remaining-requests", "599"},
           {"x-ratelimit-reset-requests", "100ms"},
           {"x-ratelimit-limit-tokens", "40000"},
           {"x-ratelimit-remaining-tokens", "39000"},
           {"x-ratelimit-reset-tokens", "1.5s"}},
          {{Name::requests, 600, 599, 100}, {Name::tokens, 40'000, 39'000, 1'500}}},
      Row{{{"anthropic-ratelimit-requests-limit", "50"},
           {"anthropic-ratelimit-requests-remaining", "49"},
           {"anthropic-ratelimit-requests-reset", "1970-01-01T00:00:02Z"}},
          {{Name::requests, 50, 49, 2'000}}},
      Row{{{"anthropic-ratelimit-input-tokens-limit", "9"},
           {"anthropic-ratelimit-input-tokens-remaining", "8"},
           {"anthropic-ratelimit-output-tokens-limit", "7"},
           {"anthropic-ratelimit-output-tokens-remaining", "0"}},
          {{Name::other_tokens, 7, 0, -1}}},
      Row{{{"x-ratelimit-limit-project-tokens", "9"},
           {"x-ratelimit-remaining-tokens_usage_based", "3"},
           {"x-ratelimit-remaining-project-requests", "4"}},
          {{Name::other_tokens, -1, 3, -1}, {Name::other_requests, -1, 4, -1}}},
      Row{{{"x-ratelimit-remaining-requests", "-1"}, {"x-ratelimit-limit-requests", "many"}}, {}},
      Row{{{"x-ratelimit-limit-images", "5"},
           {"x-ratelimit-limit", "5"},
           {"x-ratelimit-remaining", "0"},
           {"x-ratelimit-limitrequests", "5"},
           {"anthropic-ratelimit-requests", "5"}},
          {}});
  CHECK(read_limits(row.headers, 0) == row.read);
}

TEST_CASE("An answer of any status carries its limits", "[headers]") {
  const Headers headers{{"x-ratelimit-limit-requests", "600"}};
  for (const std::uint16_t status : std::vector<std::uint16_t>{200, 429, 500})
    CHECK(read_reply(Api::chat, status, headers, "{}", 0).limits.size() == 1);
}

TEST_CASE("What a server forbids to try again is final, but what it says by intent or of itself",
          "[headers]") {
  const Headers no{{"x-should-retry", "false"}}, yes{{"x-should-retry", "true"}};
  const auto cls = [](std::uint16_t status, const Headers& headers, std::string body = "") {
    return read_reply(Api::chat, status, headers, body, 0).cls;
  };
  for (const std::uint16_t status : std::vector<std::uint16_t>{408, 409, 500, 502, 503, 504}) {
    INFO(status);
    const bool of_itself = status > 500; // it is away: items wait for it
    CHECK(info(cls(status, {})).retryable());
    CHECK(info(cls(status, no)).retryable() == of_itself);
  }
  CHECK(cls(400, yes) == OutcomeClass::transient);
  CHECK(cls(429, no) == OutcomeClass::rate);
  const std::string slow_down = R"({"error":{"code":"slow_down","message":"Slow down"}})";
  CHECK(cls(503, {}, slow_down) == OutcomeClass::ramp);
  CHECK(cls(429, {}, slow_down) == OutcomeClass::ramp);
}

} // namespace openai_limit_headers_test
