// Moments and durations in headers, in every form that servers use, against when the answer came.
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/reply/reply_headers.hpp"
#include "protocol/text/header_time.hpp"

#include <catch2/catch.hpp>

namespace openai_header_time_test {

using namespace gristmill;
using namespace gristmill::openai;

TEST_CASE("One moment in all its forms is as far away", "[header_time]") {
  constexpr std::int64_t now = 1'800'000'000; // Fri, 15 Jan 2027 08:00:00 GMT
  const auto text =
      GENERATE(as<std::string>{}, "30", "30.0", " 30 ", "30s", "0m30s", "30000ms", "1800000030",
               "1800000030.0", "1800000030000", "1800000030000000", "2027-01-15T08:00:30Z",
               "2027-01-15 08:00:30Z", "2027-01-15t08:00:30.000z", "2027-01-15T10:00:30+02:00",
               "2027-01-15T10:00:30+0200", "Fri, 15 Jan 2027 08:00:30 GMT",
               "Fri, 15 Jan 2027 08:00:30 UTC", "Fri, 15 Jan 2027 09:00:30 +0100",
               "Friday, 15-Jan-27 08:00:30 GMT", "Fri Jan 15 08:00:30 2027");
  CAPTURE(text);
  const auto seconds = seconds_until(text, now);
  REQUIRE(seconds);
  CHECK(*seconds == Approx(30));
  CHECK(read_reply(Api::chat, 429, {{"retry-after", text}}, "", now).retry_after_ms == 30'000);
  const Headers limits{{"x-ratelimit-remaining-requests", "0"},
                       {"x-ratelimit-reset-requests", text}};
  CHECK(read_reply(Api::chat, 200, limits, "{}", now).limits.at(0).reset_ms == 30'000);
}

TEST_CASE("A moment is of the clock of who names it", "[header_time]") {
  constexpr std::int64_t now = 1'800'000'000;
  const auto [date, until] = GENERATE(table<std::string, std::string>({
      {"Fri, 15 Jan 2027 09:00:00 GMT", "Fri, 15 Jan 2027 09:00:30 GMT"}, // an hour ahead
      {"Fri, 15 Jan 2027 07:00:00 GMT", "Fri, 15 Jan 2027 07:00:30 GMT"}, // an hour behind
      {"Wed, 01 Jan 2020 00:00:00 GMT", "2020-01-01T00:00:30Z"},
      {"Fri, 15 Jan 2027 09:00:00 GMT", "30"},
      {"some day", "Fri, 15 Jan 2027 08:00:30 GMT"},
  }));
  CAPTURE(date, until);
  CHECK(read_reply(Api::chat, 429, {{"date", date}, {"retry-after", until}}, "", now)
            .retry_after_ms == 30'000);
  const Headers limits{{"date", date},
                       {"x-ratelimit-remaining-requests", "0"},
                       {"x-ratelimit-reset-requests", until}};
  CHECK(read_reply(Api::chat, 200, limits, "{}", now).limits.at(0).reset_ms == 30'000);
}

TEST_CASE("A moment that is past is no wait, and what is none is none", "[header_time]") {
  constexpr std::int64_t now = 1'800'000'000;
  CHECK(*seconds_until("Sun Nov  6 08:49:37 1994", now) < 0);
  CHECK(*seconds_until("Sunday, 06-Nov-94 08:49:37 GMT", now) < 0);
  CHECK(*seconds_until("1799999990", now) == Approx(-10));
  const auto text = GENERATE(as<std::string>{}, "", "soon", "5x", "s", "Fri, 15 Jan 2027",
                             "Fri, 35 Jan 2027 08:00:30 GMT", "2027-13-15T08:00:30Z", "1.2.3",
                             "2027-01-15T08:00:30", "Fri, 15 Jan 2027 28:00:30 GMT", "nan", "0x10");
  CAPTURE(text);
  CHECK_FALSE(seconds_until(text, now));
}

} // namespace openai_header_time_test
