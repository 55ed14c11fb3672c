// Budget blocks by themselves: what covers a call, when the next one is due and how large it is,
// and what the journal is told of the ones before.
#include "actors/rate_limiter/blocks/budget_blocks.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/random.hpp"

#include <catch2/catch.hpp>

namespace budget_blocks_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
using Allowance = BudgetBlocks::Allowance;

RateLimits limits(std::uint64_t calls, std::uint64_t tokens = 0) {
  return {calls, tokens, 0};
}

// Of windows that yield so much a second, without a burst.
Allowance paced(double calls, double tokens = 0) {
  Allowance allowed;
  if (calls > 0) allowed.calls = Allowance::Pace{0, calls};
  if (tokens > 0) allowed.tokens = Allowance::Pace{0, tokens};
  return allowed;
}

// The block that somebody asked for is durable at once.
journal::BlockNote renew(BudgetBlocks& blocks, std::uint64_t number, const Allowance& allowed,
                         Time now) {
  REQUIRE(blocks.refuses(1, now));
  const auto note = blocks.reserve(number, allowed, 0s, now);
  REQUIRE(note);
  blocks.durable(number);
  return *note;
}

} // namespace

TEST_CASE("what is being written is asked for soon, and not hundreds of times", "[blocks]") {
  CHECK(asked_when_written(std::nullopt, start) == start + 2ms);
  CHECK(asked_when_written(start, start + 8ms) == start + 10ms);
  CHECK(asked_when_written(start, start + 40ms) == start + 50ms);
  CHECK(asked_when_written(start, start + 1h) == start + 1h + 100ms);
  int asked = 0;
  for (Time at = start; at < start + 1200ms; at = asked_when_written(start, at)) ++asked;
  CHECK(asked <= 30);
}

TEST_CASE("a call that no block covers is refused as one that waits for the journal") {
  BudgetBlocks blocks{limits(60)};
  const auto refusal = blocks.refuses(1, start);
  REQUIRE(refusal);
  CHECK(refusal->kind == WaitKind::journal);
  CHECK(refusal->since == start);
  CHECK_FALSE(blocks.writing_since());
  REQUIRE(blocks.reserve(1, paced(1), 0s, start + 1ms));
  CHECK(blocks.writing_since() == start + 1ms);
  CHECK(blocks.refuses(1, start + 5ms)->since == start + 1ms); // for as long as it is written
  blocks.durable(1);
  CHECK_FALSE(blocks.refuses(1, start + 5ms));
}

TEST_CASE("calls are numbered within their block, and one too many is our own mistake") {
  BudgetBlocks blocks{limits(60)};
  const auto note = renew(blocks, 7, paced(2), start);
  REQUIRE(note.calls == 4); // two a second for 1.3 seconds, rounded up, and one
  for (std::uint64_t n = 1; n <= note.calls; ++n) {
    const BudgetBlocks::Drawn drawn = blocks.draw(1);
    CHECK(drawn.block == 7);
    CHECK(drawn.n == n);
  }
  CHECK(blocks.refuses(1, start));
  CHECK_THROWS_AS(blocks.draw(1), CheckFailed);
}

TEST_CASE("blocks come one after the other, with rising numbers") {
  BudgetBlocks blocks{limits(60)};
  renew(blocks, 7, paced(2), start);
  REQUIRE(blocks.refuses(1, start + 2s));
  CHECK_THROWS_AS(blocks.reserve(6, paced(2), 0s, start + 2s), CheckFailed);
}

TEST_CASE("without windows and numbers no block is needed, and none is asked for") {
  BudgetBlocks blocks{limits(0)};
  blocks.needs_no_numbers();
  CHECK_FALSE(blocks.refuses(1'000'000, start));
  CHECK(blocks.draw(1).block == 0);
  CHECK(blocks.reserves_at(0s) == never);
  CHECK_FALSE(blocks.reserve(1, {}, 0s, start));
  blocks.set_limits(limits(60));
  CHECK(blocks.refuses(1, start));
}

TEST_CASE("a block is as large as the narrowest of its windows, and covers the call that waits") {
  struct Row {
    std::string_view what;
    Allowance allowed;
    std::uint64_t calls, tokens;
  };
  Allowance burst = paced(10, 100), day = paced(10, 100), of_day_alone;
  burst.calls->burst = 5;
  burst.tokens->burst = 500;
  day.calls_of_day = 3;
  day.tokens_of_day = 70;
  of_day_alone.tokens_of_day = 70;
  const std::uint64_t unlimited = 2 * defaults::block_calls_unlimited;
  for (const Row& row :
       {Row{"rate", paced(10, 100), 14, 131}, Row{"burst", burst, 19, 631}, Row{"day", day, 3, 70},
        Row{"day alone", of_day_alone, unlimited, 70}, Row{"calls alone", paced(10), 14, 0}}) {
    INFO(row.what);
    BudgetBlocks blocks{limits(600, 6'000)};
    const auto note = renew(blocks, 1, row.allowed, start);
    CHECK(note.calls == row.calls);
    CHECK(note.tokens == row.tokens);
  }
  BudgetBlocks blocks{limits(600, 6'000)};
  REQUIRE(blocks.refuses(5'000, start));
  REQUIRE(blocks.refuses(20, start));
  CHECK(blocks.reserve(1, day, 0s, start)->tokens == 5'000);
}

TEST_CASE("the next block is due before the one that is drawn from ends, if anything was drawn") {
  BudgetBlocks blocks{limits(60)};
  const Time ends = renew(blocks, 1, paced(10), start).until;
  CHECK(ends == blocks.until());
  CHECK(blocks.reserves_at(5ms) == never);
  blocks.draw(1);
  const Time due = ends - 310ms; // and two commits
  CHECK(blocks.reserves_at(5ms) == due);
  CHECK_FALSE(blocks.reserve(2, paced(10), 5ms, due - 1ns));
  Allowance used_up = paced(10);
  used_up.day_is_used_up = true;
  CHECK_FALSE(blocks.reserve(2, used_up, 5ms, due));
  CHECK(blocks.reserve(2, paced(10), 5ms, due));
  CHECK(blocks.reserves_at(5ms) == never); // it is on its way
}

TEST_CASE("what may still be drawn is what neither the current block nor the next has given") {
  BudgetBlocks blocks{limits(600, 6'000)};
  const Time first = renew(blocks, 1, paced(10, 100), start).until;
  blocks.draw(31);
  REQUIRE(blocks.refuses(1'000, start + 1s));
  const auto second = blocks.reserve(2, paced(10, 100), 0s, start + 1s);
  REQUIRE(second);
  const auto rests = blocks.rests(start + 1s);
  REQUIRE(rests.size() == 2);
  CHECK(rests[0].until == first);
  CHECK(rests[0].calls == 13);
  CHECK(rests[0].tokens == 100);
  CHECK(rests[1].until == second->until);
  CHECK(rests[1].calls == 14);
  CHECK(rests[1].tokens == 1'000);
  CHECK(blocks.rests(first).size() == 1);
}

TEST_CASE("what is given back to a closed block is noted again, and to the current one drawn") {
  BudgetBlocks blocks{limits(600, 6'000)};
  renew(blocks, 1, paced(10, 100), start);
  CHECK(blocks.draw(100).block == 1);
  CHECK(blocks.refuses(40, start));
  blocks.give_back(60, 1);
  CHECK_FALSE(blocks.refuses(40, start));
  CHECK(renew(blocks, 2, paced(10, 100), start + 2s).drawn.empty());
  const auto third = renew(blocks, 3, paced(10, 100), start + 4s);
  REQUIRE(third.drawn.size() == 1);
  CHECK(third.drawn[0].tokens == 40);
  blocks.give_back(30, 1);
  const auto fourth = renew(blocks, 4, paced(10, 100), start + 6s);
  REQUIRE(fourth.drawn.size() == 2);
  CHECK(fourth.drawn[0].block == 1);
  CHECK(fourth.drawn[0].tokens == 10);
  CHECK(fourth.drawn[1].block == 2);
  CHECK(blocks.numbers() == std::vector<std::uint64_t>{1, 2, 3, 4});
  const auto late = renew(blocks, 5, paced(10, 100), start + 2s + 2 * defaults::block_hold);
  CHECK(late.over == std::vector<std::uint64_t>{1, 2, 3});
}

TEST_CASE("however calls come, no durable block gives more than it reserved") {
  Random random{7};
  for (int run = 0; run < 50; ++run) {
    BudgetBlocks blocks{limits(600, 6'000)};
    std::map<std::uint64_t, journal::BlockNote> notes;
    std::map<std::uint64_t, std::uint64_t> calls, tokens;
    std::uint64_t number = 0;
    Time now = start;
    for (int step = 0; step < 400; ++step, now += std::chrono::milliseconds{random.below(120)}) {
      const std::uint64_t wanted = 1 + random.below(60);
      if (!blocks.refuses(wanted, now)) {
        const auto drawn = blocks.draw(wanted);
        CHECK(drawn.n == ++calls[drawn.block]);
        tokens[drawn.block] += wanted;
        CHECK(now < notes.at(drawn.block).until);
        if (random.below(2) == 0) {
          const std::uint64_t back = random.below(wanted);
          blocks.give_back(back, drawn.block);
          tokens[drawn.block] -= back;
        }
      }
      if (auto note = blocks.reserve(number + 1, paced(10, 100), 20ms, now))
        notes[++number] = *note;
      if (blocks.writing_since() && random.below(3) == 0) blocks.durable(number);
      if (blocks.number() == 0) continue;
      CHECK(calls[blocks.number()] <= notes.at(blocks.number()).calls);
      CHECK(tokens[blocks.number()] <= notes.at(blocks.number()).tokens);
    }
    CHECK(number > 3);
  }
}

} // namespace budget_blocks_test
