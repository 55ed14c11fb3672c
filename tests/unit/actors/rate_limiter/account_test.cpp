// One account by itself: its windows, its slots, and how long its permits live.
#include "actors/rate_limiter/account.hpp"

#include "actors/kit/defaults.hpp"

#include <catch2/catch.hpp>

namespace account_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
constexpr std::string_view block_reason = "the budget block is being written";

RateLimits calls_per_minute(std::uint64_t n) {
  return {n, 0, 0};
}
RateLimits tokens_per_minute(std::uint64_t n) {
  return {0, n, 0};
}

std::string why(Account& account, Time now, std::uint64_t tokens = 1) {
  const auto refusal = account.refuses(tokens, now);
  if (refusal) CHECK(refusal->until > now);
  return refusal ? std::string{words_of(*refusal)} : "goes";
}

Charge draw(Account& account, Time now, std::uint64_t tokens = 1) {
  REQUIRE(why(account, now, tokens) == "goes");
  return account.draw(tokens, now);
}

// Asks for a call, and has the block that it needs written at once.
void renew(Account& account, std::uint64_t number, Time now, std::uint64_t tokens = 1) {
  REQUIRE(why(account, now, tokens) == block_reason);
  REQUIRE(account.reserve(number, now));
  account.durable(number);
}

Account opened(RateLimits limits, std::uint64_t tokens = 1) {
  Account account{"endpoint", limits, start};
  renew(account, 1, start, tokens);
  return account;
}

} // namespace

TEST_CASE("slots are exact and never fall below none") {
  Account account = opened({0, 0, 3});
  std::vector<Charge> charges;
  for (int i = 0; i < 3; ++i) charges.push_back(draw(account, start));
  CHECK(account.in_flight() == 3);
  CHECK(why(account, start) == "all calls in flight that are allowed");
  account.settle(charges[0], std::nullopt, start);
  draw(account, start);
  CHECK(why(account, start) == "all calls in flight that are allowed");
  account.refund(charges[1], start);
  account.occupy();
  CHECK(why(account, start) == "all calls in flight that are allowed");
  for (int i = 0; i < 5; ++i) account.settle(Charge{}, std::nullopt, start);
  CHECK(account.in_flight() == 0);
}

TEST_CASE("a settled call keeps what it used, and all of its bound when nobody knows") {
  const auto [used, fits] = GENERATE(table<std::optional<std::uint64_t>, std::uint64_t>({
      {std::nullopt, 400},
      {0, 1'000},
      {100, 900},
      {599, 401},
      {600, 400},
      {700, 300}, // the bound was wrong: the excess counts as well
  }));
  CAPTURE(used.has_value(), used.value_or(0));
  Account account = opened(tokens_per_minute(1'000), 600);
  account.settle(draw(account, start, 600), used, start + 1s);
  const Time full = start + 50s; // the smoother has recovered, the window still holds the call
  CHECK(why(account, full, fits) == block_reason);
  if (fits < 1'000) CHECK(why(account, full, fits + 1) == "tokens per minute");
}

TEST_CASE("a call that was never sent costs nothing") {
  Account account = opened({2, 1'000, 1}, 1'000);
  account.refund(draw(account, start, 1'000), start);
  draw(account, start); // of the same block: only the number of the attempt is gone
  CHECK(account.in_flight() == 1);
  account.settle({}, std::nullopt, start);
  CHECK(why(account, start + 50s, 999) == block_reason);
  CHECK(why(account, start + 50s, 1'000) == "tokens per minute");
}

TEST_CASE("a call that is larger than the whole window goes alone") {
  Account account = opened(tokens_per_minute(1'000), 1);
  draw(account, start, 1);
  CHECK(why(account, start, 5'000'000) == "tokens per minute");
  const Time alone = start + defaults::hold_of(defaults::minute_window) + 1s;
  CHECK(why(account, alone - 2s, 5'000'000) == "tokens per minute");
  renew(account, 2, alone, 5'000'000);
  const Charge charge = draw(account, alone, 5'000'000);
  CHECK(charge.tokens.reserved == 1'000);
  CHECK(why(account, alone + 59s, 1) == "tokens per minute");
}

TEST_CASE("an endpoint that asked us to wait is left alone until the latest time it said") {
  Account account = opened({});
  account.park(start + 800ms, "the endpoint asked us to wait");
  account.park(start + 300ms, "its credit is used up");
  CHECK(why(account, start + 799ms) == "the endpoint asked us to wait");
  CHECK(why(account, start + 800ms) == "goes");
}

TEST_CASE("permits that come too late make the next ones live longer, up to a bound") {
  Account account = opened(calls_per_minute(60));
  const auto come_too_late = [&](int times, Time now) {
    for (int i = 0; i < times; ++i) account.permit_life().came_too_late(now);
  };
  come_too_late(2, start);
  account.permit_life().used();
  come_too_late(2, start);
  CHECK(account.permit_life().length() == defaults::permit_life);
  come_too_late(1, start);
  CHECK(account.permit_life().length() == 2 * defaults::permit_life);
  come_too_late(20,
                start + account.permit_life().length() - 1ns); // issued together with the last ones
  CHECK(account.permit_life().length() == 2 * defaults::permit_life);
  for (int round = 1; round < 10; ++round) come_too_late(3, start + round * 10s);
  CHECK(account.permit_life().length() == defaults::permit_life_max);
}

TEST_CASE("permits that are used make the next ones live shorter again, down to a bound") {
  Account account = opened({});
  for (int i = 0; i < 3; ++i) account.permit_life().came_too_late(start);
  const auto longer = account.permit_life().length();
  for (int i = 1; i < defaults::used_permits_min; ++i) account.permit_life().used();
  CHECK(account.permit_life().length() == longer);
  account.permit_life().used();
  CHECK(account.permit_life().length() == defaults::permit_life);
  for (int i = 0; i < defaults::used_permits_min; ++i) account.permit_life().used();
  CHECK(account.permit_life().length() == defaults::permit_life);
}

TEST_CASE("a permit that lives longer counts longer") {
  Account account = opened(calls_per_minute(1));
  account.draw(1, start, 4s);
  CHECK(why(account, start + 64s) == "requests per minute");
  CHECK(why(account, start + 65s) == block_reason);
}

} // namespace account_test
