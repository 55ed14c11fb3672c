// The budgets themselves: what a permit costs in the end, that no window is ever exceeded, through
// crashes too, and that an asker who is always hungry gets nearly all of it.
#include "actors/kit/defaults.hpp"
#include "actors/kit/random.hpp"
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

#include <deque>
#include <map>

namespace rate_limiter_budget_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

const Duration hold = defaults::hold_of(defaults::minute_window);

protocol::Usage used(std::uint64_t prompt, std::uint64_t completion) {
  protocol::Usage usage;
  usage.known = true;
  usage.prompt = prompt;
  usage.completion = completion;
  return usage;
}

// The blocks as a journal would give them back: whole, or what was drawn when a later block said
// so.
class Journal {
public:
  void reserved(std::vector<journal::BlockNote> notes) {
    for (auto& note : notes) writing_.push_back(std::move(note));
  }
  // Some of what waits for the disk is durable now.
  std::vector<std::uint64_t> write(Random& random) {
    std::vector<std::uint64_t> durable;
    std::vector<journal::BlockNote> waiting;
    for (auto& note : writing_) {
      if (random.chance(0.5)) {
        waiting.push_back(std::move(note));
        continue;
      }
      durable.push_back(note.block);
      wrote(note);
    }
    writing_ = std::move(waiting);
    return durable;
  }
  // What was not yet said to be durable is on the disk or not.
  std::vector<journal::BlockNote> crash(Random& random) {
    write(random);
    writing_.clear();
    std::move(life_.begin(), life_.end(), std::back_inserter(earlier_));
    life_.clear();
    return earlier_;
  }

private:
  void wrote(const journal::BlockNote& note) {
    for (const auto& drawn : note.drawn)
      for (auto& before : life_) {
        if (before.block != drawn.block) continue;
        before.calls = drawn.calls;
        before.tokens = drawn.tokens;
      }
    life_.push_back(note);
  }
  std::vector<journal::BlockNote> writing_, life_, earlier_;
};

// Every call that was permitted, by itself.
struct Reference {
  struct Call {
    Time issued;
    protocol::Permit permit;
    std::uint64_t calls = 1, tokens = 0;
    bool over = false;
  };
  std::deque<Call> calls;

  std::pair<std::uint64_t, std::uint64_t> held(Time now) const {
    std::pair<std::uint64_t, std::uint64_t> sum;
    for (auto call = calls.rbegin(); call != calls.rend() && call->issued + hold > now; ++call) {
      sum.first += call->calls;
      sum.second += call->tokens;
    }
    return sum;
  }
};

} // namespace

TEST_CASE("what a call did not use is free again, unless nobody knows") {
  const auto [how, usage, fits] = GENERATE(table<Ended::How, protocol::Usage, std::uint64_t>({
      {Ended::How::answered, used(50, 50), 900},
      {Ended::How::answered, used(500, 100), 400},
      {Ended::How::answered, used(500, 300), 200}, // the bound was wrong
      {Ended::How::answered, {}, 400},
      {Ended::How::lost, {}, 400},
      {Ended::How::unstarted, {}, 1'000},
      {Ended::How::too_late, {}, 1'000},
  }));
  CAPTURE(how, fits);
  Bench bench;
  bench.endpoint(1, {0, 1'000, 0});
  bench.job(7, {});
  bench.token_bound = 600;
  const auto permits = bench.ask(ids({1})).permits;
  REQUIRE(permits.size() == 1);
  bench.limiter.ended({how, permits[0].attempt, OutcomeClass::ok, usage, -1}, bench.now);
  CHECK(bench.limiter.in_flight(EndpointId{1}) == 0);
  // Told again, it changes nothing.
  bench.limiter.ended({how, permits[0].attempt, OutcomeClass::ok, used(0, 0), -1}, bench.now);
  bench.now += 50s;
  bench.token_bound = fits + 1;
  if (fits < 1'000) CHECK(bench.wait_reason(2) == "tokens per minute");
  bench.token_bound = fits;
  CHECK(bench.goes(2));
}

TEST_CASE("a call whose bound is beyond the whole window goes alone") {
  Bench bench;
  bench.endpoint(1, {0, 1'000, 0});
  bench.job(7, {});
  bench.token_bound = 1'000'000'000;
  CHECK(bench.goes(1));
  bench.now += 60s;
  bench.token_bound = 1;
  CHECK(bench.wait_reason(2) == "tokens per minute");
  bench.now += 1s;
  CHECK(bench.goes(2));
}

TEST_CASE("an attempt's number never comes twice") {
  Bench bench;
  bench.endpoint(1, {});
  bench.endpoint(2, {});
  bench.job(7, {});
  std::map<AttemptId, int> seen;
  for (int round = 0; round < 200; ++round, bench.now += 100ms)
    for (const auto& permit : bench.ask(ids({1, 2, 3, 4, 5})).permits) {
      ++seen[permit.attempt];
      bench.answered(permit);
    }
  CHECK(seen.size() > 900);
  for (const auto& [attempt, times] : seen) {
    CHECK(times == 1);
    CHECK(attempt.epoch() == 3);
    CHECK(attempt.block() > 0);
  }
}

TEST_CASE("a call of an earlier life takes a slot until it ends, once") {
  Bench bench;
  bench.endpoint(1, {0, 0, 2});
  bench.job(7, {0, 0, 2});
  const ClaimedCall claim{AttemptId::of(Epoch{2}, 9, 1), EndpointId{1}, JobId{7}};
  bench.limiter.claimed(claim);
  bench.limiter.claimed(claim);
  CHECK(bench.limiter.in_flight(EndpointId{1}) == 1);
  CHECK(bench.ask(ids({1, 2})).permits.size() == 1);
  for (int i = 0; i < 2; ++i)
    bench.limiter.ended({Ended::How::answered, claim.attempt, {}, used(1, 1), -1}, bench.now);
  CHECK(bench.limiter.in_flight(EndpointId{1}) == 1);
  CHECK(bench.goes(3));
  CHECK_FALSE(bench.goes(4));
}

TEST_CASE("blocks of an earlier life count as spent, also those of a boot before") {
  const bool same_boot = GENERATE(true, false);
  CAPTURE(same_boot);
  Bench bench;
  journal::BlockNote block;
  block.block = 4;
  block.account = "endpoint:http://host-1/v1|";
  block.calls = 10;
  // The clock of another boot says nothing, whether ahead of ours or behind.
  block.until = same_boot ? bench.now - 30s : bench.now - 1h;
  bench.limiter.recovered({block}, bench.now, same_boot);
  bench.endpoint(1, {10, 0, 0});
  bench.job(7, {});
  CHECK(bench.wait_reason(1) == "requests per minute");
  bench.now += 33s;
  CHECK(bench.wait_reason(1) == "requests per minute");
  bench.now += 2s;
  CHECK(bench.goes(1) == same_boot);
  bench.now += 30s;
  CHECK(bench.goes(1));
}

TEST_CASE("no window is ever exceeded under random load, crashes and answers of all kinds") {
  const auto seed = GENERATE(range(1u, 9u));
  CAPTURE(seed);
  Random random{seed};
  const RateLimits limits{300 + random.below(600), 30'000 + random.below(60'000),
                          static_cast<std::uint32_t>(20 + random.below(100))};
  Bench bench;
  Journal blocks;
  Reference reference;
  std::uint32_t epoch = 3;
  const auto open = [&] {
    bench.endpoint(1, limits);
    bench.job(7, random.chance(0.5) ? RateLimits{200, 0, 0} : RateLimits{});
  };
  open();
  std::uint64_t item = 0, permitted = 0;
  const Time end = bench.now + 240s;
  while (bench.now < end) {
    bench.now += random.between(0ms, random.chance(0.02) ? 3s : 40ms);
    if (random.chance(0.0005)) {
      bench.limiter = RateLimiter{Epoch{++epoch}};
      bench.limiter.recovered(blocks.crash(random), bench.now, true);
      open();
    }
    Acquire question = bench.question(ids({1, 2, 3, 4}));
    for (auto& call : question.calls) {
      call.item = item++;
      call.token_bound = 1 + random.below(random.chance(0.01) ? 200'000 : 400);
    }
    for (const auto& permit : bench.limiter.acquire(question, bench.now).permits) {
      ++permitted;
      const auto bound = question.calls[permit.call.value - 1].token_bound;
      reference.calls.push_back({bench.now, permit, 1, std::min(bound, limits.tokens_per_minute)});
    }
    const auto [calls, tokens] = reference.held(bench.now);
    REQUIRE(calls <= limits.requests_per_minute);
    REQUIRE(tokens <= limits.tokens_per_minute);
    REQUIRE(bench.limiter.in_flight(EndpointId{1}) <= limits.max_in_flight);
    for (auto& call : reference.calls) {
      if (call.over || !random.chance(0.05)) continue;
      call.over = true;
      if (random.chance(0.1)) {
        random.chance(0.5) ? bench.unstarted(call.permit) : bench.too_late(call.permit);
        call.calls = call.tokens = 0;
      } else if (random.chance(0.1)) {
        bench.lost(call.permit);
      } else {
        call.tokens = random.below(call.tokens + 1);
        bench.answered(call.permit, OutcomeClass::ok, -1, used(call.tokens, 0));
      }
    }
    while (!reference.calls.empty() && reference.calls.front().issued + hold <= bench.now)
      reference.calls.pop_front();
    blocks.reserved(bench.limiter.reserve(bench.now));
    bench.limiter.durable(bench.limiter.reserve_marks(bench.now).number);
    for (const std::uint64_t block : blocks.write(random)) bench.limiter.durable(block);
  }
  CHECK(permitted > 200);
}

TEST_CASE("an asker who is always hungry gets 98 percent of the rate") {
  const auto [limits, tokens] = GENERATE(table<RateLimits, std::uint64_t>({
      {{60, 0, 0}, 1},
      {{600, 0, 0}, 1},
      {{6'000, 0, 0}, 1},
      {{0, 60'000, 0}, 100},
      {{0, 6'000'000, 0}, 500},
  }));
  CAPTURE(limits.requests_per_minute, limits.tokens_per_minute);
  constexpr auto disk = 10ms, step = 5ms;
  constexpr int minutes = 4;
  Bench bench;
  bench.endpoint(1, limits);
  bench.job(7, {});
  std::deque<std::pair<Time, std::uint64_t>> writing;
  std::vector<CallId> calls;
  for (std::uint64_t call = 1; call <= 4; ++call) calls.push_back(CallId{call});
  bench.token_bound = tokens;
  std::uint64_t permitted = 0;
  const Time end = bench.now + 60s * minutes;
  for (; bench.now < end; bench.now += step) {
    for (; !writing.empty() && writing.front().first <= bench.now; writing.pop_front())
      bench.limiter.durable(writing.front().second);
    for (const auto& permit : bench.limiter.acquire(bench.question(calls), bench.now).permits) {
      ++permitted;
      bench.answered(permit);
    }
    for (const std::uint64_t number : bench.reserve())
      writing.emplace_back(bench.now + disk, number);
  }
  const std::uint64_t limit = limits.requests_per_minute != 0 ? limits.requests_per_minute
                                                              : limits.tokens_per_minute / tokens;
  CHECK(static_cast<double>(permitted) >= 0.98 * static_cast<double>(limit * minutes));
}

TEST_CASE("a job keeps its turn at an endpoint while a block of its own budget is written") {
  Bench bench;
  bench.endpoint(1, {6'000, 0, 0});
  bench.job(7, {});
  REQUIRE(bench.goes(1)); // its block and the endpoint's are written
  bench.limiter.job_opened({JobId{8}, {60, 0, 0}, {}, {}, Share{1, 51}}, bench.now);
  const auto ask = [&](std::uint32_t job) {
    Acquire acquire = bench.question({CallId{1}});
    acquire.calls[0].job = JobId{job};
    return bench.limiter.acquire(acquire, bench.now);
  };
  const Granted high = ask(8);
  REQUIRE(high.waits.size() == 1);
  REQUIRE(high.waits[0].reason.kind == WaitKind::journal);
  const Granted low = ask(7);
  REQUIRE(low.waits.size() == 1);
  CHECK(low.waits[0].reason.kind == WaitKind::turn);
  bench.write_blocks();
  CHECK(ask(8).permits.size() == 1);
}

} // namespace rate_limiter_budget_test
