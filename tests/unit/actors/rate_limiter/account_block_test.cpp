// The blocks of an account, without which nothing is drawn from it.
#include "actors/rate_limiter/account.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/defaults.hpp"

#include <catch2/catch.hpp>

namespace account_block_test {

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

TEST_CASE("nothing is drawn before a block is durable") {
  Account account{"endpoint", {}, start};
  CHECK_FALSE(account.reserve(1, start));
  CHECK(why(account, start) == block_reason);
  const auto note = account.reserve(1, start);
  REQUIRE(note);
  CHECK(note->account == "endpoint");
  CHECK(account.blocks().number() == 0);
  CHECK(why(account, start) == block_reason);
  account.durable(2);
  CHECK(why(account, start) == block_reason);
  CHECK_THROWS_AS(account.draw(1, start), CheckFailed);
  account.durable(1);
  CHECK(account.blocks().number() == 1);
  CHECK(why(account, start) == "goes");
}

TEST_CASE("one block is written at a time") {
  Account account{"endpoint", {}, start};
  CHECK(why(account, start) == block_reason);
  REQUIRE(account.reserve(1, start));
  CHECK(why(account, start) == block_reason);
  CHECK_FALSE(account.reserve(2, start));
}

TEST_CASE("a block covers its calls, numbers them from 1, and no more") {
  Account account{"endpoint", calls_per_minute(600'000), start};
  REQUIRE(why(account, start) == block_reason);
  const auto note = account.reserve(1, start);
  REQUIRE(note);
  account.durable(1);
  account.set_limits({}, start); // so that the window alone keeps nothing back
  for (std::uint64_t i = 1; i <= note->calls; ++i) {
    if (account.refuses(1, start)) FAIL("call " << i << " is refused");
    const std::uint64_t n = account.draw(1, start).drawn.n;
    if (n != i) FAIL("call " << i << " is numbered " << n);
  }
  CHECK(why(account, start) == block_reason);
}

TEST_CASE("a block may be drawn from until its end and not then") {
  Account account{"endpoint", {}, start};
  CHECK(why(account, start) == block_reason);
  const auto note = account.reserve(1, start);
  REQUIRE(note);
  account.durable(1);
  CHECK(why(account, note->until - 1ns) == "goes");
  CHECK(why(account, note->until) == block_reason);
}

TEST_CASE("without a window a block numbers as many calls as can be made until it ends") {
  Account account{"endpoint", {}, start};
  const auto [commit_time, calls] = GENERATE(table<Duration, std::uint64_t>(
      {{0s, 11 * defaults::block_calls_unlimited}, {6s, AttemptId::n_max}}));
  CHECK(why(account, start) == block_reason);
  const auto note = account.reserve(1, start, commit_time);
  REQUIRE(note);
  CHECK(note->calls == std::min(calls, AttemptId::n_max));
}

TEST_CASE("a job's account needs a block only for its windows") {
  Account account{"job-7", {}, start};
  account.needs_no_numbers();
  draw(account, start);
  CHECK_FALSE(account.reserve(1, start));
  account.set_limits(calls_per_minute(60'000), start);
  renew(account, 1, start + 1min);
  draw(account, start + 1min);
  account.set_limits({}, start + 1min);
  CHECK(why(account, start + 2min) == "goes");
  CHECK_FALSE(account.reserve(2, start + 2min));
}

TEST_CASE(
    "a block outlasts two commits as long as those of late, and is as large as that asks for") {
  const Duration commit_time = GENERATE(as<Duration>{}, 0s, 5ms, 1s, 6s, 30s);
  Account account{"endpoint", calls_per_minute(60'000), start};
  CHECK(why(account, start) == block_reason);
  const auto note = account.reserve(1, start, commit_time);
  REQUIRE(note);
  CHECK(note->until == start + 1'300ms + 2 * commit_time);
  const double rate = 60'000 / to_seconds(defaults::hold_of(60s));
  CHECK(static_cast<double>(note->calls) ==
        Approx(rate * (0.5 + 1.3 + 2 * to_seconds(commit_time))).epsilon(0.01));
}

TEST_CASE("a block is as large as the largest call that waits for it") {
  Account account{"endpoint", tokens_per_minute(60'000), start};
  CHECK(why(account, start, 10) == block_reason);
  CHECK(why(account, start, 50'000) == block_reason);
  const auto note = account.reserve(1, start);
  REQUIRE(note);
  CHECK(note->tokens == 50'000);
  account.durable(1);
  draw(account, start, 50'000);
}

TEST_CASE("nobody who asks means no more blocks") {
  Account account = opened({});
  for (Duration passed = 0s; passed < 20s; passed += 50ms)
    CHECK_FALSE(account.reserve(2, start + passed));
}

TEST_CASE("under demand the next block is there before the last one ends") {
  const RateLimits limits = GENERATE(RateLimits{}, calls_per_minute(60), calls_per_minute(60'000),
                                     tokens_per_minute(600'000));
  CAPTURE(limits.requests_per_minute, limits.tokens_per_minute);
  const Duration disk = GENERATE(as<Duration>{}, 5ms, 30ms, 700ms, 3s, 12s);
  CAPTURE(disk.count());
  Account account{"endpoint", limits, start};
  std::uint64_t blocks = 0, waited = 0, calls = 0;
  Time durable_at = never;
  const Time learned = start + disk;
  for (Time now = start; now < start + 60s; now += 1ms) {
    if (now >= durable_at) {
      account.durable(blocks);
      durable_at = never;
    }
    for (int i = 0; i < 3; ++i) {
      const auto refusal = account.refuses(100, now);
      if (refusal && words_of(*refusal) == block_reason && now > learned) ++waited;
      if (refusal) break;
      account.draw(100, now);
      ++calls;
    }
    if (account.reserve(blocks + 1, now, disk)) {
      ++blocks;
      durable_at = now + disk;
    }
  }
  CHECK(waited == 0);
  CHECK(calls > 20);
  // One a second, or a commit after the other; ten times as rare where nothing counts.
  const Duration apart = std::max<Duration>(limits.windows() ? 1s : 10s, disk);
  CHECK(blocks <= static_cast<std::uint64_t>(60s / apart) + 2);
}

TEST_CASE("the note of the block after the next one says what was drawn in truth") {
  Account account = opened(tokens_per_minute(600'000));
  const Charge early = draw(account, start, 100);
  draw(account, start, 50);
  const Time second = start + 2s;
  REQUIRE(why(account, second) == block_reason);
  const auto note = account.reserve(2, second);
  REQUIRE(note);
  CHECK(note->drawn.empty()); // the first may be drawn from until the second is durable
  account.durable(2);
  draw(account, second, 30);
  REQUIRE(why(account, second + 2s) == block_reason);
  const auto third = account.reserve(3, second + 2s);
  REQUIRE(third);
  REQUIRE(third->drawn.size() == 1);
  CHECK(third->drawn[0].block == 1);
  CHECK(third->drawn[0].calls == 2);
  CHECK(third->drawn[0].tokens == 150);

  // What its calls give back later is noted later, once.
  account.durable(3);
  draw(account, second + 2s, 20);
  account.settle(early, 40, second + 3s);
  REQUIRE(why(account, second + 4s) == block_reason);
  const auto fourth = account.reserve(4, second + 4s);
  REQUIRE(fourth);
  REQUIRE(fourth->drawn.size() == 2);
  CHECK(fourth->drawn[0].block == 1);
  CHECK(fourth->drawn[0].tokens == 90);
  CHECK(fourth->drawn[1].block == 2);
  CHECK(fourth->drawn[1].tokens == 30);
}

TEST_CASE("of a block whose calls have ended more may be drawn, up to what was reserved") {
  Account account = opened(tokens_per_minute(60'000), 2'000);
  const Tokens call{500, 10};
  std::uint64_t calls = 0;
  Time now = start;
  for (; !account.refuses(call, now); now += 10ms, ++calls)
    account.settle(account.draw(call, now), 10, now);
  CHECK(words_of(*account.refuses(call, now)) == block_reason);
  CHECK(calls >=
        50); // if they had used all that they drew, it would have been enough for some five
  CHECK(account.reserve(2, now)->drawn.empty());
}

TEST_CASE("blocks that no window counts any more are not noted, and the journal may forget them") {
  Account account = opened(tokens_per_minute(600'000));
  const Charge charge = draw(account, start, 100);
  Time now = start + 2s;
  std::uint64_t over = 0;
  for (std::uint64_t number = 2; number < 50; ++number, now += 2s) {
    REQUIRE(why(account, now) == block_reason);
    const auto note = account.reserve(number, now);
    REQUIRE(note);
    CHECK(note->drawn.size() <= 1);
    over += note->over.size();
    account.durable(number);
    draw(account, now, 1);
    // What is left is what a hold may still count.
    CHECK(number - over <= 36);
    CHECK(account.blocks().numbers().size() == number - over);
  }
  account.settle(charge, 1, now);
  REQUIRE(why(account, now) == block_reason);
  CHECK(account.reserve(50, now)->drawn.size() == 1); // the last one, not the first
}

TEST_CASE("a block of an earlier life counts as spent from its end, and then for a whole hold") {
  const auto hold = defaults::hold_of(defaults::minute_window, defaults::permit_life_max);
  const auto [ended_ago, free_at] = GENERATE_COPY(table<Duration, Duration>({
      {-1s, hold}, // it could still be drawn from: it ends now
      {0s, hold},
      {10s, hold - 10s},
      {hold - 1s, 1s},
  }));
  CAPTURE(ended_ago.count());
  journal::BlockNote block;
  block.calls = 10;
  block.until = start - ended_ago;
  Account account{"endpoint", calls_per_minute(10), start};
  account.assume_spent(block, start);
  CHECK(why(account, start) == "requests per minute");
  CHECK(why(account, start + free_at - 1ms) == "requests per minute");
  CHECK(why(account, start + free_at + 70ms) == block_reason);
}

TEST_CASE("a block whose hold is over is history") {
  journal::BlockNote block;
  block.calls = block.tokens = 10;
  block.until = start - defaults::hold_of(defaults::minute_window, defaults::permit_life_max);
  Account account{"endpoint", {10, 10, 0}, start};
  account.assume_spent(block, start);
  CHECK(why(account, start, 10) == block_reason);
}

} // namespace account_block_test
