// Which accounts there are: whose limits hold, what earlier lives have left for them, which blocks
// are due, and when they are forgotten.
#include "actors/rate_limiter/account_directory.hpp"

#include <catch2/catch.hpp>

namespace account_directory_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

struct Bench {
  AccountDirectory accounts{defaults::day_window};
  NoteNumbers next{};
  Time now = start;

  AccountDirectory::Ref open(const std::string& name, const RateLimits& limits = {}) {
    return accounts.open(name, limits, now);
  }
  // Somebody asks for a call of it.
  void ask(const AccountDirectory::Ref& account, std::uint64_t tokens = 1) {
    accounts.touched(account);
    static_cast<void>(account->refuses(tokens, now));
  }
  std::vector<journal::BlockNote> reserve() {
    auto notes = accounts.reserve(next, 0s, now);
    for (const auto& note : notes)
      ++(note.block <= AttemptId::block_max ? next.attempts : next.others);
    return notes;
  }
};

} // namespace

TEST_CASE("equal names are one account, with the limits of who came first until they are settled") {
  Bench bench;
  const auto account = bench.open("a", {60, 0, 0});
  CHECK(bench.open("a", {30, 0, 0}) == account);
  CHECK(account->limits().requests_per_minute == 60);
  CHECK(bench.accounts.find("a") == account);
  CHECK_FALSE(bench.accounts.find("b"));
  bench.accounts.settle(account, RateLimits{30, 0, 0}, start);
  CHECK(account->limits().requests_per_minute == 30);
  bench.accounts.settle(account, std::nullopt, start);
  CHECK(account->limits().requests_per_minute == 30);
}

TEST_CASE("windows of input and output are accounts of their own, and leave with their limit") {
  Bench bench;
  const auto account = bench.open("a");
  RateLimits limits;
  limits.input_tokens_per_minute = 1'000;
  bench.accounts.settle(account, limits, start);
  REQUIRE(account->parts().input);
  CHECK_FALSE(account->parts().output);
  CHECK(account->parts().input->name() == "a|input");
  CHECK(account->parts().input->limits().tokens_per_minute == 1'000);
  CHECK(bench.accounts.size() == 2);
  bench.accounts.settle(account, RateLimits{}, start);
  CHECK_FALSE(account->parts().input);
  bench.reserve();
  CHECK(bench.accounts.size() == 1);
}

TEST_CASE("blocks that number attempts have numbers of their own, and none when they are used up") {
  Bench bench;
  const auto endpoint = bench.open("endpoint"), job = bench.open("job", {60, 0, 0});
  job->needs_no_numbers();
  bench.next.attempts = AttemptId::block_max;
  bench.ask(endpoint);
  bench.ask(job);
  const auto notes = bench.reserve();
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].account == "endpoint");
  CHECK(notes[0].block == AttemptId::block_max);
  CHECK(notes[1].account == "job");
  CHECK(notes[1].block == AttemptId::block_max + 1);
  for (const auto& note : notes) bench.accounts.durable(note.block);
  CHECK_FALSE(endpoint->refuses(1, bench.now));
  bench.now += 1min;
  bench.ask(endpoint);
  bench.ask(job);
  const auto later = bench.reserve();
  REQUIRE(later.size() == 1);
  CHECK(later[0].account == "job");
}

TEST_CASE("what earlier lives have spent waits for its account, which takes it once") {
  journal::BlockNote block;
  block.account = "a";
  block.calls = 60;
  block.until = start + 1s;
  Bench bench;
  bench.accounts.recovered({block}, start, true);
  const auto account = bench.open("a", {60, 0, 0});
  CHECK(account->used(start).requests_per_minute == 60);
  CHECK(bench.open("a")->used(start).requests_per_minute == 60);
  CHECK(bench.open("b", {60, 0, 0})->used(start).requests_per_minute == 0);
}

TEST_CASE("an account that nobody names is forgotten once nothing of it counts, with its blocks") {
  Bench bench;
  auto account = bench.open("a", {60, 0, 0});
  bench.ask(account);
  REQUIRE(bench.reserve().size() == 1);
  bench.accounts.durable(1);
  const Charge charge = account->draw(1, bench.now);
  bench.accounts.leaves(account);
  bench.now += 10min;
  bench.reserve();
  CHECK(bench.accounts.size() == 1); // a call is under way
  account->settle(charge, 1, bench.now);
  account.reset();
  bench.now += 2s;
  const auto other = bench.open("b");
  bench.ask(other);
  const auto notes = bench.reserve();
  CHECK(bench.accounts.size() == 1);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].over == std::vector<std::uint64_t>{1});
}

TEST_CASE("what a day has taken is noted with each block, before it is written") {
  RateLimits limits;
  limits.requests_per_day = 1'000;
  Bench bench;
  const auto account = bench.open("a", limits);
  CHECK(bench.accounts.day_notes(0s, start).empty());
  bench.ask(account);
  const auto blocks = bench.reserve();
  REQUIRE(blocks.size() == 1);
  const auto notes = bench.accounts.day_notes(0s, start);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].account == "a");
  CHECK(notes[0].calls == blocks[0].calls);
  CHECK(bench.accounts.day_notes(0s, start).empty());
  Bench later;
  later.accounts.days_recovered(notes);
  CHECK(later.open("a", limits)->used(start).requests_per_day == blocks[0].calls);
}

} // namespace account_directory_test
