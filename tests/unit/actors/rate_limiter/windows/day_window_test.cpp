// The windows of a day: their limits, what a restart takes over, and how much the journal keeps.
#include "actors/rate_limiter/account.hpp"

#include "actors/kit/defaults.hpp"
#include "actors/kit/random.hpp"

#include <catch2/catch.hpp>
#include <map>

namespace day_window_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1000h;
const Duration hold = defaults::hold_of(defaults::day_window);
const Duration bucket = defaults::bucket_of(hold);
constexpr JobId job{7};

RateLimits per_day(std::uint64_t requests, std::uint64_t tokens = 0) {
  RateLimits limits;
  limits.requests_per_day = requests;
  limits.tokens_per_day = tokens;
  return limits;
}

// An account, and the rows that its journal has. Blocks are durable at once.
struct Life {
  explicit Life(RateLimits limits, Time now) : account{"endpoint", limits, now} {}
  // What is durable comes back, the rest of the life does not.
  Life restarted(RateLimits limits, Time now) const {
    Life next{limits, now};
    for (const auto& [until, note] : rows) {
      if (until <= now) continue;
      next.account.assume_spent(note);
      next.rows[until] = note;
    }
    return next;
  }
  void note(Time now) {
    for (const auto& note : account.day_notes(now)) rows[note.until] = note;
  }
  // Why a call does not go; "" = it goes, and is drawn.
  std::string why(Time now, std::uint64_t tokens = 1) {
    auto refusal = account.refuses(tokens, now);
    if (refusal && refusal->kind == WaitKind::journal) {
      blocks.push_back(account.reserve(++number, now).value());
      note(now);
      account.durable(number);
      refusal = account.refuses(tokens, now);
    }
    last = refusal;
    if (refusal) return std::string{words_of(*refusal)};
    charges.push_back(account.draw(tokens, now));
    return "";
  }
  std::uint64_t draw_all(Time now, std::uint64_t tokens = 1) {
    std::uint64_t drawn = 0;
    while (why(now, tokens).empty()) ++drawn;
    return drawn;
  }

  Account account;
  std::map<Time, journal::DayNote> rows;
  std::vector<journal::BlockNote> blocks;
  std::vector<Charge> charges;
  std::optional<WaitReason> last;
  std::uint64_t number = 0;
};

} // namespace

TEST_CASE("as many calls go in a day as are allowed, not one more, and at once", "[day]") {
  const std::uint64_t most = GENERATE(1, 2, 300, 10'000);
  Life life{per_day(most), start};
  CHECK(life.draw_all(start) == most);
  REQUIRE(life.last);
  CHECK(life.last->kind == WaitKind::day_requests);
  CHECK(life.last->kind == WaitKind::day_requests);
  CHECK(life.last->limit == most);
  CHECK(life.last->until >= start + 24h);
  CHECK(life.last->until <= start + hold + bucket);
  CHECK(life.draw_all(life.last->until - 1ns) == 0);
  CHECK(life.draw_all(life.last->until) == most);
}

TEST_CASE("a day slides: what was called when, is free a day later", "[day]") {
  Life life{per_day(10), start};
  for (int i = 0; i < 4; ++i) REQUIRE(life.why(start).empty());
  CHECK(life.draw_all(start + 20h) == 6);
  CHECK(life.draw_all(start + 24h) == 0);
  CHECK(life.draw_all(start + hold + bucket) == 4);
  CHECK(life.draw_all(start + hold + bucket + 19h) == 0);
  CHECK(life.draw_all(start + 20h + hold + bucket) == 6);
}

TEST_CASE("tokens of a day: a call below, at and above what is left", "[day]") {
  const auto [tokens, goes] =
      GENERATE(table<std::uint64_t, bool>({{99, true}, {100, true}, {101, false}}));
  Life life{per_day(0, 1'000), start};
  REQUIRE(life.why(start, 900).empty());
  CHECK(life.why(start, tokens) == (goes ? "" : "tokens per day"));
  if (!goes) CHECK(life.last->kind == WaitKind::day_tokens);
}

TEST_CASE("what a call did not use of its tokens is free for the day, what it used more is not",
          "[day]") {
  Life life{per_day(0, 1'000), start};
  REQUIRE(life.why(start, 600).empty());
  CHECK(life.why(start, 600) == "tokens per day");
  life.account.settle(life.charges[0], 400, start + 1s);
  CHECK(life.why(start + 1s, 600).empty());
  CHECK(life.why(start + 1s, 1) == "tokens per day");
  life.account.settle(life.charges[1], 500, start + 2s);
  REQUIRE(life.why(start + 2s, 50).empty());
  life.account.settle(life.charges[2], 90, start + 3s);
  CHECK(life.why(start + 3s, 11) == "tokens per day");
  CHECK(life.why(start + 3s, 10).empty());
}

TEST_CASE("a call that was never sent does not count", "[day]") {
  Life life{per_day(2, 100), start};
  REQUIRE(life.why(start, 50).empty());
  REQUIRE(life.why(start, 50).empty());
  CHECK(life.why(start, 50) == "requests per day");
  life.account.refund(life.charges[0], start + 1s);
  CHECK(life.why(start + 1s, 50).empty());
  CHECK(life.why(start + 1s, 50) == "requests per day");
}

TEST_CASE("a call that may use more than a day's tokens goes alone", "[day]") {
  Life life{per_day(0, 1'000), start};
  CHECK(life.why(start, 5'000).empty());
  CHECK(life.why(start, 1) == "tokens per day");
}

TEST_CASE("a block covers a hundredth of what is left of the day, and one call at least", "[day]") {
  Life life{per_day(1'000, 50'000), start};
  REQUIRE(life.why(start, 10).empty());
  CHECK(life.blocks.back().calls == 10);
  CHECK(life.blocks.back().tokens == 500);
  CHECK(life.draw_all(start, 10) == 999);
  CHECK(life.blocks.back().calls == 1);
  Life few{per_day(99), start};
  REQUIRE(few.why(start).empty());
  CHECK(few.blocks.back().calls == 1);
}

TEST_CASE("after a kill a day is known to the last call that may have been made", "[day]") {
  const std::uint64_t made = GENERATE(1, 2, 3, 4, 150, 299, 300);
  Life life{per_day(300), start};
  for (std::uint64_t i = 0; i < made; ++i) REQUIRE(life.why(start).empty());
  Life next = life.restarted(per_day(300), start + 10min);
  const std::uint64_t more = next.draw_all(start + 10min);
  CHECK(made + more <= 300);
  CHECK(made + more >= 297); // a block of at most three calls counts as spent
  if (made == 300) CHECK(more == 0);
  Life third = next.restarted(per_day(300), start + 20min);
  CHECK(third.draw_all(start + 20min) == 0);
  CHECK(third.last->until >= start + 24h);
  CHECK(third.draw_all(start + hold + 2 * bucket) >= made);
}

TEST_CASE("a life in which nothing is called passes on what it found", "[day]") {
  Life life{per_day(10), start};
  CHECK(life.draw_all(start) == 10);
  Life idle = life.restarted(per_day(10), start + 1h);
  Life next = idle.restarted(per_day(10), start + 2h);
  CHECK(next.draw_all(start + 2h) == 0);
}

TEST_CASE("another limit counts what was called under the one before", "[day]") {
  Life life{per_day(10), start};
  CHECK(life.draw_all(start) == 10);
  CHECK(life.restarted(per_day(12), start + 1h).draw_all(start + 1h) == 2);
  CHECK(life.restarted(per_day(5), start + 1h).draw_all(start + 1h) == 0);
  life.account.set_limits(per_day(15), start + 1h);
  CHECK(life.draw_all(start + 1h) == 5);
}

TEST_CASE("an account is kept while a day's calls count", "[day]") {
  Life life{per_day(10), start};
  REQUIRE(life.why(start).empty());
  life.account.settle(life.charges[0], 1, start + 1s);
  CHECK_FALSE(life.account.is_idle(start + 23h));
  CHECK(life.account.is_idle(start + hold + bucket));
}

TEST_CASE("what a day has taken is noted each minute, until nothing counts any more", "[day]") {
  Life life{per_day(10), start};
  CHECK(life.account.next_day_notes_at() == never);
  REQUIRE(life.why(start).empty());
  CHECK(life.account.next_day_notes_at() == start + 60s);
  CHECK(life.account.day_notes(start + 59s).empty());
  Time now = start;
  std::size_t notes = 0;
  while ((now = life.account.next_day_notes_at()) != never) {
    const auto noted = life.account.day_notes(now);
    REQUIRE(noted.size() <= 2);
    for (const auto& note : noted) CHECK(note.noted_at == now);
    if (++notes > 2'000) FAIL("it never ends");
  }
  CHECK(notes > 1'430);
}

TEST_CASE("an account without a limit per day notes nothing", "[day]") {
  Life life{{100, 0, 0}, start};
  REQUIRE(life.why(start).empty());
  CHECK(life.rows.empty());
  CHECK(life.account.next_day_notes_at() == never);
}

TEST_CASE("days of calls and crashes stay within the limit, and the journal within its buckets",
          "[day]") {
  const auto seed = GENERATE(range(1u, 5u));
  CAPTURE(seed);
  Random random{seed};
  const RateLimits limits = per_day(3'000, 400'000);
  Life life{limits, start};
  std::vector<std::pair<Time, std::uint64_t>> calls; // with what they used
  std::size_t first = 0;
  std::uint64_t tokens = 0, most = 0, most_tokens = 0;
  Time now = start;
  std::size_t rows_most = 0;
  while (now < start + 72h) {
    now += random.between(1s, 30s);
    const std::uint64_t bound = 1 + random.below(200);
    if (life.why(now, bound).empty()) {
      const std::uint64_t used = random.below(bound + 1);
      calls.emplace_back(now, used);
      tokens += used;
      if (random.chance(0.9)) life.account.settle(life.charges.back(), used, now);
    }
    while (first < calls.size() && calls[first].first + 24h <= now) tokens -= calls[first++].second;
    most = std::max<std::uint64_t>(most, calls.size() - first);
    most_tokens = std::max(most_tokens, tokens);
    if (life.account.next_day_notes_at() <= now) life.note(now);
    std::erase_if(life.rows, [now](const auto& row) { return row.first <= now; });
    rows_most = std::max(rows_most, life.rows.size());
    if (random.chance(0.001)) life = life.restarted(limits, now);
  }
  CHECK(most <= 3'000);
  CHECK(most > 2'700);
  CHECK(most_tokens <= 400'000);
  CHECK(rows_most <= 1'002);
}

} // namespace day_window_test
