// A job's budget of money: what may be charged, what the journal must know first, and what comes
// back after a crash.
#include "actors/jobs/job_money.hpp"
#include "actors/kit/check.hpp"
#include "actors/rate_limiter/money/money_account.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>

namespace money_account_test {

using namespace gristmill;
using namespace std::chrono_literals;
using rate_limiter::MoneyAccount;

namespace {

constexpr JobId job{7};
constexpr Epoch before{2};
AttemptId attempt(std::uint64_t n) {
  return AttemptId::of(before, 1, n);
}

// Amounts in 10^-9 US$, here and below.
JobMoney money(std::uint64_t cap, std::uint64_t charged = 0, std::uint64_t returnable = 0) {
  return {.cap = nano_usd(cap),
          .charged = nano_usd(charged),
          .watermark = nano_usd(charged),
          .assumed = nano_usd(returnable),
          .returnable = nano_usd(returnable)};
}

struct Bench {
  MoneyAccount account;
  Time now = time_from_ns(0) + 1h;
  std::uint64_t number = 0;
  std::optional<journal::MoneyNote> note{}; // the last one

  explicit Bench(const JobMoney& begin) : account{job, begin} {}
  // Every note is durable at once.
  void write() {
    if (auto next = account.reserve(++number, now)) {
      note = next;
      account.durable(next->number);
    }
  }
  std::optional<MoneyAccount::Refusal> ask(std::uint64_t most) {
    if (!account.refuses(nano_usd(most), now)) return std::nullopt;
    write();
    return account.refuses(nano_usd(most), now);
  }
  bool draws(std::uint64_t most) {
    if (ask(most)) return false;
    account.draw(nano_usd(most));
    return true;
  }
};

journal::RecoveredJob recovered(std::uint64_t cost, std::uint64_t watermark,
                                std::uint64_t assumed = 0) {
  journal::RecoveredJob known;
  known.counts.cost = nano_usd(cost);
  known.money_watermark = nano_usd(watermark);
  known.money_assumed = nano_usd(assumed);
  return known;
}

} // namespace

TEST_CASE("A call goes while what it may cost fits the cap, to the last nano-dollar", "[money]") {
  for (const std::uint64_t cap : {99u, 100u, 101u}) {
    Bench bench{money(cap)};
    CHECK(bench.draws(60));
    CHECK(bench.draws(40) == (cap >= 100));
  }
}

TEST_CASE("Nothing is drawn above a watermark that is not durable", "[money]") {
  MoneyAccount account{job, money(1'000'000)};
  REQUIRE(account.refuses(nano_usd(10), Time{}));
  const auto note = account.reserve(1, Time{});
  REQUIRE(note);
  CHECK(account.refuses(nano_usd(10), Time{})->wait == 2ms);
  CHECK(account.refuses(nano_usd(10), Time{} + 40ms)->wait == 10ms); // the disk is slow
  CHECK_FALSE(account.reserve(2, Time{}));                           // one at a time
  account.durable(2);
  CHECK(account.refuses(nano_usd(10), Time{}));
  account.durable(1);
  CHECK_FALSE(account.refuses(nano_usd(10), Time{}));
}

TEST_CASE("A draw that nothing durable covers, and an end of no call, are our own mistakes",
          "[money]") {
  MoneyAccount account{job, money(100)};
  CHECK_THROWS_AS(account.draw(nano_usd(1)), CheckFailed);
  CHECK_THROWS_AS(account.settle(nano_usd(0), nano_usd(0)), CheckFailed);
  CHECK_THROWS_AS(account.lost(nano_usd(0)), CheckFailed);
  JobMoney wrong = money(100, 10, 10);
  wrong.assumed = nano_usd(11); // of 10 that are charged
  MoneyAccount broken{job, wrong};
  CHECK_THROWS_AS(broken.earlier_lives_told(false), CheckFailed);
}

TEST_CASE("A watermark is one per cent of the remainder ahead, or one call", "[money]") {
  Bench small{money(1'000'000)};
  CHECK(small.draws(10));
  CHECK(small.note->watermark == nano_usd(10'000));
  Bench large{money(1'000'000)};
  CHECK(large.draws(300'000));
  CHECK(large.note->watermark == nano_usd(300'000));
  CHECK(large.draws(1));
  CHECK(large.note->watermark == nano_usd(307'000));
  Bench last{money(100, 95)};
  CHECK(last.draws(5));
  CHECK(last.note->watermark == nano_usd(100));
}

TEST_CASE("What a call did not cost is there again, what a lost one may have cost is not",
          "[money]") {
  Bench bench{money(100)};
  REQUIRE(bench.draws(100));
  CHECK(bench.ask(1));
  bench.account.settle(nano_usd(100), nano_usd(30));
  CHECK(bench.account.charged() == nano_usd(30));
  REQUIRE(bench.draws(70));
  bench.account.refund(nano_usd(70));
  REQUIRE(bench.draws(70));
  bench.account.lost(nano_usd(70));
  CHECK(bench.account.charged() == nano_usd(100));
  CHECK(bench.account.unknown() == nano_usd(70));
  CHECK(bench.ask(1)->spent);
}

TEST_CASE("The cap is reached only when nothing in flight may come back", "[money]") {
  Bench bench{money(100)};
  REQUIRE(bench.draws(60));
  REQUIRE(bench.ask(41));
  CHECK_FALSE(bench.ask(41)->spent);
  bench.account.settle(nano_usd(60), nano_usd(60));
  CHECK(bench.ask(41)->spent);
  CHECK_FALSE(bench.ask(40));
  bench.account.set_cap(nano_usd(101));
  CHECK_FALSE(bench.ask(41));
  bench.account.set_cap(nano_usd(50)); // lower than what is spent
  CHECK(bench.ask(1)->spent);
}

TEST_CASE("A watermark comes down when calls cost less than they might have", "[money]") {
  Bench bench{money(1'000'000)};
  REQUIRE(bench.draws(500'000));
  CHECK(bench.account.wake_at() == never);
  bench.account.settle(nano_usd(500'000), nano_usd(100));
  CHECK(bench.account.wake_at() <= bench.now);
  bench.write();
  CHECK(bench.note->watermark == nano_usd(500'000)); // not at once
  CHECK(bench.account.wake_at() == bench.now + 500ms);
  bench.now += 500ms;
  bench.write();
  CHECK(bench.note->watermark == nano_usd(100 + 9'999));
  CHECK(bench.account.wake_at() == never);
}

TEST_CASE("A watermark that a slow disk has raised stays up until somebody can draw", "[money]") {
  Bench bench{money(1'000'000)};
  REQUIRE(bench.account.refuses(nano_usd(500'000), bench.now));
  REQUIRE(bench.account.reserve(1, bench.now));
  bench.now += 3s;
  bench.account.durable(1);
  CHECK(bench.account.wake_at() <= bench.now);
  CHECK_FALSE(bench.account.reserve(2, bench.now));
  CHECK(bench.account.wake_at() == bench.now + 500ms);
  bench.now += 499ms;
  CHECK_FALSE(bench.account.reserve(2, bench.now));
  bench.now += 1ms;
  CHECK(bench.account.reserve(2, bench.now)); // nobody did
}

TEST_CASE("A watermark stays up while a call that may draw waits for something else", "[money]") {
  Bench bench{money(1'000'000)};
  REQUIRE_FALSE(bench.ask(500'000));
  for (int seconds = 0; seconds < 60; ++seconds) { // of a slow disk
    bench.now += 1s;
    CHECK_FALSE(bench.account.reserve(9, bench.now));
    REQUIRE_FALSE(bench.account.refuses(nano_usd(500'000), bench.now));
  }
  SECTION("it goes, and costs less") {
    bench.account.draw(nano_usd(500'000));
    bench.account.settle(nano_usd(500'000), nano_usd(100));
  }
  SECTION("nobody asks again") {
    CHECK_FALSE(bench.account.reserve(9, bench.now)); // it was heard
    CHECK(bench.account.wake_at() == bench.now + 30s);
    bench.now += 30s - 1ms;
    CHECK_FALSE(bench.account.reserve(9, bench.now));
    bench.now += 1ms;
  }
  bench.now += 500ms;
  CHECK(bench.account.reserve(9, bench.now));
}

TEST_CASE("While a lower watermark is on its way nothing goes above it", "[money]") {
  Bench bench{money(1'000'000)};
  REQUIRE(bench.draws(500'000));
  bench.account.settle(nano_usd(500'000), nano_usd(0));
  bench.write();
  bench.now += 500ms;
  const auto lower = bench.account.reserve(9, bench.now);
  REQUIRE(lower);
  CHECK_FALSE(bench.account.refuses(*lower->watermark, bench.now));
  CHECK(bench.account.refuses(*lower->watermark + nano_usd(1), bench.now));
}

TEST_CASE("After a crash all below the watermark counts as spent", "[money]") {
  CHECK(jobs::money_of(recovered(30, 90), false, false).charged == nano_usd(30));
  const JobMoney crashed = jobs::money_of(recovered(30, 90), true, false);
  CHECK(crashed.charged == nano_usd(90));
  CHECK(crashed.assumed == nano_usd(60));
  CHECK(crashed.returnable == nano_usd(0));
  // What an earlier crash took stays taken.
  CHECK(jobs::money_of(recovered(30, 90, 20), false, false).charged == nano_usd(50));
  CHECK(jobs::money_of(recovered(30, 90, 20), true, true).charged == nano_usd(90));
  CHECK(jobs::money_of(recovered(30, 90, 20), true, true).returnable == nano_usd(40));
  CHECK(jobs::money_of(recovered(95, 90), true, true).charged == nano_usd(95));
  Bench bench{jobs::money_of(recovered(30, 90), true, false)};
  bench.account.set_cap(nano_usd(100));
  CHECK_FALSE(bench.draws(11));
  CHECK(bench.draws(10));
}

TEST_CASE("What no session has in its hands comes back when all have told", "[money]") {
  Bench bench{money(100, 90, 60)};
  CHECK_FALSE(bench.ask(11)->spent); // it may come back
  bench.account.claimed(attempt(1));
  bench.account.earlier_lives_told(true);
  CHECK(bench.account.charged() == nano_usd(90));
  bench.account.ended(attempt(2), nano_usd(5)); // not of those
  bench.account.ended(attempt(1), nano_usd(7));
  CHECK(bench.account.charged() == nano_usd(37)); // 30 were recorded, and 7
  bench.write();
  CHECK(bench.note->assumed == nano_usd(0));
  bench.account.ended(attempt(1), nano_usd(7)); // told again
  CHECK(bench.account.charged() == nano_usd(37));
}

TEST_CASE("Nothing comes back if one session or one cost stays unknown", "[money]") {
  Bench silent{money(100, 90, 60)};
  silent.account.earlier_lives_told(false);
  CHECK(silent.account.charged() == nano_usd(90));
  CHECK(silent.ask(11)->spent);
  Bench unknown{money(100, 90, 60)};
  unknown.account.claimed(attempt(1));
  unknown.account.ended(attempt(1), std::nullopt);
  unknown.account.earlier_lives_told(true);
  CHECK(unknown.account.charged() == nano_usd(90));
  CHECK(unknown.account.unknown() == nano_usd(60));
}

} // namespace money_account_test
