// Jobs that wait for one account: each gets its part, and nothing is left unused for the sake of
// one that does not come.
#include "actors/rate_limiter/turns.hpp"
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

#include <algorithm>
#include <deque>

namespace turns_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

const Time t0 = time_from_ns(0) + 1h;
constexpr SessionId here{1}, there{2};
constexpr JobId a{1}, b{2}, c{3};

Turns with(Share of_a, Share of_b) {
  Turns turns;
  turns.asks(a, of_a, here, t0);
  turns.asks(b, of_b, there, t0);
  return turns;
}

// A job's calls with one worker: all of them are asked for, and asked for again when it was said.
struct Hand {
  JobId job;
  SessionId worker;
  std::size_t calls = 30;
  std::uint64_t tokens = 1;
  bool has_work = true;
  Time asks_at = t0;
  std::uint64_t begun = 0;
};

// Workers around one endpoint, a millisecond at a time.
struct Crowd {
  Bench bench;
  std::vector<Hand> hands;
  Duration latency = 5ms;
  std::deque<std::pair<Time, protocol::Permit>> flying;
  std::uint64_t next = 0;

  explicit Crowd(RateLimits limits) { bench.endpoint(1, limits); }
  void job(JobId id, Share share, RateLimits own = {}) {
    JobBudget budget{id, own, {}};
    budget.share = share;
    bench.limiter.job_opened(budget, bench.now);
  }
  void ask(SessionId worker) {
    Acquire acquire{worker, Nonce{++next}, {}};
    std::map<JobId, Hand*> asking;
    for (Hand& hand : hands) {
      if (hand.worker != worker || !hand.has_work || hand.asks_at > bench.now) continue;
      asking[hand.job] = &hand;
      hand.asks_at = bench.now + 1ms;
      for (std::size_t n = 0; n < hand.calls; ++n)
        acquire.calls.push_back({CallId{++next}, hand.job, hand.begun + n, hand.tokens});
    }
    if (acquire.calls.empty()) return;
    const Granted granted = bench.limiter.acquire(acquire, bench.now);
    for (const auto& permit : granted.permits) {
      const auto of = std::find_if(acquire.calls.begin(), acquire.calls.end(),
                                   [&](const auto& call) { return call.call == permit.call; });
      ++asking.at(of->job)->begun;
      flying.emplace_back(bench.now + latency, permit);
    }
    for (const Waiting& waiting : granted.waits)
      asking.at(waiting.job)->asks_at = bench.now + std::chrono::milliseconds{waiting.wait_ms};
  }
  void run(Duration time) {
    for (const Time end = bench.now + time; bench.now < end; bench.now += 1ms) {
      while (!flying.empty() && flying.front().first <= bench.now) {
        bench.answered(flying.front().second);
        flying.pop_front();
      }
      ask(here);
      ask(there);
      bench.write_blocks();
    }
  }
  double begun(JobId job) const {
    double sum = 0;
    for (const Hand& hand : hands)
      if (hand.job == job) sum += static_cast<double>(hand.begun);
    return sum;
  }
  double since(JobId job, double before) const { return begun(job) - before; }
};

} // namespace

TEST_CASE("a job yields to one that waits as long as that one may still come", "[turns]") {
  Turns turns = with({1, 50}, {1, 51});
  CHECK_FALSE(turns.yields(a, t0)); // nobody waits
  turns.waits(b, there, t0 + 30ms);
  for (const Duration at : {0ns, Duration{30ms}, Duration{30ms} + Turns::patience - 1ns,
                            Duration{30ms} + Turns::patience})
    CHECK(turns.yields(a, t0 + at));
  CHECK_FALSE(turns.yields(a, t0 + 30ms + Turns::patience + 1ns));
  CHECK(turns.yields(a, t0)->until == t0 + 30ms + Turns::again);
  CHECK(turns.yields(a, t0 + 40ms)->until == t0 + 40ms + Turns::again);
  CHECK(turns.yields(a, t0)->to == 1);
  CHECK_FALSE(turns.yields(b, t0)); // never to a lower one
}

TEST_CASE("who asks at its time, leaves or is closed waits no more", "[turns]") {
  Turns turns = with({1, 50}, {1, 51});
  turns.waits(b, there, t0 + 30ms);
  turns.asks(b, {1, 51}, there, t0 + 30ms - 1ns);
  CHECK(turns.yields(a, t0 + 30ms)); // others of its calls were told to wait longer
  turns.asks(b, {1, 51}, there, t0 + 30ms);
  CHECK_FALSE(turns.yields(a, t0 + 30ms));
  turns.waits(b, there, t0 + 60ms);
  turns.waits(b, here, t0 + 70ms);
  turns.leaves(b, there);
  CHECK(turns.yields(a, t0 + 60ms)); // with another worker
  turns.leaves(b, here);
  CHECK_FALSE(turns.yields(a, t0 + 60ms));
  turns.waits(b, here, t0 + 70ms);
  turns.forget(b);
  CHECK_FALSE(turns.yields(a, t0 + 60ms));
}

TEST_CASE("a job may get ahead of one that waits by the lead, and no further", "[turns]") {
  Turns turns = with({1, 50}, {1, 50});
  turns.waits(b, there, t0);
  turns.served(a, Turns::lead_max);
  CHECK_FALSE(turns.yields(a, t0));
  turns.served(a, Turns::lead_max / 100);
  CHECK(turns.yields(a, t0));
  turns.served(b, Turns::lead_max / 100);
  CHECK_FALSE(turns.yields(a, t0));
}

TEST_CASE("permits follow the weights while jobs wait, wherever their calls are", "[turns]") {
  const bool apart = GENERATE(false, true);
  CAPTURE(apart);
  Crowd crowd{{6'000, 0, 0}};
  crowd.job(a, {1, 50});
  crowd.job(b, {3, 50});
  crowd.hands = {{a, here}, {b, there}};
  if (!apart) {
    crowd.hands.push_back({a, there});
    crowd.hands.push_back({b, here});
  }
  crowd.run(30s);
  CHECK(crowd.begun(b) / crowd.begun(a) == Approx(3).epsilon(0.1));
  CHECK(crowd.begun(a) + crowd.begun(b) >= 0.95 * 3'000);
}

TEST_CASE("where tokens are scarce, tokens are shared", "[turns]") {
  Crowd crowd{{0, 600'000, 0}};
  crowd.job(a, {1, 50});
  crowd.job(b, {1, 50});
  crowd.hands = {{a, here, 30, 100}, {b, here, 30, 400}, {a, there, 30, 100}};
  crowd.run(30s);
  CHECK(crowd.begun(a) == Approx(4 * crowd.begun(b)).epsilon(0.1));
}

TEST_CASE("who waits for a place looks a hundredth of an answer later, within bounds", "[turns]") {
  for (const auto& [answer_s, after] :
       {std::pair{0.0, 10ms}, {0.99, 10ms}, {2.0, 20ms}, {10.0, 100ms}, {60.0, 100ms}})
    CHECK(with({1, 50}, {1, 50}).line_up(a, here, answer_s, t0) == t0 + after);
}

TEST_CASE("who waits for a place asks behind the others, and once for all its calls", "[turns]") {
  Turns turns = with({1, 50}, {1, 50});
  turns.waits(a, there, t0 + 30s); // for something else: the line does not begin behind it
  CHECK(turns.line_up(a, here, 2, t0) == t0 + 20ms);
  turns.waits(a, here, t0 + 20ms);
  CHECK(turns.line_up(a, here, 2, t0 + 5ms) == t0 + 20ms);
  CHECK(turns.line_up(a, there, 2, t0 + 5ms) == t0 + 40ms);
  turns.waits(a, there, t0 + 40ms);
  CHECK(turns.line_up(b, there, 2, t0 + 5ms) == t0 + 25ms); // another job's line
  CHECK(turns.line_up(a, here, 2, t0 + 20ms) == t0 + 60ms); // it asks now
  for (std::uint64_t n = 3; n < 30; ++n)
    CHECK(turns.line_up(a, SessionId{n}, 2, t0) <= t0 + Turns::patience);
  CHECK(turns.line_up(a, SessionId{30}, 2, t0) == t0 + Turns::patience);
}

TEST_CASE("where slots are scarce, calls are shared and no slot stays empty", "[turns]") {
  Crowd crowd{{0, 0, 20}};
  crowd.latency = 100ms; // at most 200 calls a second
  crowd.job(a, {1, 50});
  crowd.job(b, {3, 50});
  crowd.hands = {{a, here}, {b, there}};
  crowd.run(5s); // it finds out how many calls the server takes up
  const double before_a = crowd.begun(a), before_b = crowd.begun(b);
  crowd.run(20s);
  const double of_a = crowd.since(a, before_a), of_b = crowd.since(b, before_b);
  CHECK(of_b / of_a == Approx(3).epsilon(0.1));
  CHECK(of_a + of_b >= 0.85 * 200 * 20); // a slot is asked for again each 10 ms
}

TEST_CASE("many workers that wait for a place ask about as often as one would", "[turns]") {
  const bool of_the_job = GENERATE(false, true);
  CAPTURE(of_the_job);
  Bench bench;
  bench.endpoint(1, of_the_job ? RateLimits{} : RateLimits{0, 0, 1});
  bench.limiter.job_opened({a, of_the_job ? RateLimits{0, 0, 1} : RateLimits{}, {}}, bench.now);
  struct Worker {
    Time asks_at = t0;
    int asked = 0;
  };
  std::vector<Worker> workers(GENERATE(1u, 20u, 100u));
  const auto crowd = workers.size();
  std::deque<std::pair<Time, protocol::Permit>> flying;
  std::uint64_t next = 0;
  int asked = 0, begun = 0;
  for (bench.now = t0; bench.now < t0 + 10s; bench.now += 1ms) {
    if (!flying.empty() && flying.front().first <= bench.now) {
      bench.answered(flying.front().second);
      flying.pop_front();
    }
    for (std::size_t n = 0; n < crowd; ++n) {
      if (workers[n].asks_at > bench.now) continue;
      const Granted granted = bench.limiter.acquire(
          {SessionId{n + 1}, Nonce{++next}, {{CallId{++next}, a, next, 1}}}, bench.now);
      ++asked;
      ++workers[n].asked;
      for (const auto& permit : granted.permits) {
        ++begun;
        flying.emplace_back(bench.now + 200ms, permit);
      }
      workers[n].asks_at =
          bench.now +
          (granted.waits.empty() ? 1ms : std::chrono::milliseconds{granted.waits[0].wait_ms});
    }
    bench.write_blocks();
  }
  CHECK(begun >= 45); // of 50
  CHECK(begun <= 50);
  CHECK(asked <= (crowd <= 25 ? 1'100 : 4'200));
  for (const Worker& worker : workers) CHECK(worker.asked >= asked / static_cast<int>(2 * crowd));
}

TEST_CASE("a higher priority has everything while it waits, and the others the rest", "[turns]") {
  Crowd crowd{{6'000, 0, 0}};
  crowd.job(a, {1'000, 50});
  crowd.job(b, {1, 51});
  crowd.hands = {{a, here}, {a, there}, {b, there}};
  crowd.hands[2].has_work = false;
  crowd.run(5s);
  const double before = crowd.begun(a);
  crowd.hands[2].has_work = true;
  crowd.run(10s);
  CHECK(crowd.since(a, before) <= 5);
  CHECK(crowd.begun(b) >= 0.95 * 1'000);
  const double meanwhile = crowd.begun(a);
  crowd.hands[2].has_work = false;
  crowd.run(5s);
  CHECK(crowd.since(a, meanwhile) >= 0.95 * 500);
}

TEST_CASE("who had nothing to do is owed nothing, and costs the others nothing", "[turns]") {
  Crowd crowd{{6'000, 0, 0}};
  crowd.job(a, {1, 50});
  crowd.job(b, {1, 50});
  crowd.hands = {{a, here}, {b, there}};
  crowd.run(5s);
  crowd.hands[1].has_work = false;
  const double before = crowd.begun(a);
  crowd.run(20s);
  CHECK(crowd.since(a, before) >= 0.95 * 2'000);
  crowd.hands[1].has_work = true;
  const double then_a = crowd.begun(a), then_b = crowd.begun(b);
  crowd.run(4s);
  const double of_a = crowd.since(a, then_a), of_b = crowd.since(b, then_b);
  CHECK(of_a + of_b >= 0.95 * 400);
  CHECK(of_b <= of_a + 6'000 * Turns::owed_max + 6'000 * Turns::lead_max + 1);
}

TEST_CASE("a job that waits for a budget of its own holds nobody up", "[turns]") {
  Crowd crowd{{6'000, 0, 0}};
  crowd.job(a, {1, 50});
  crowd.job(b, {1, 99}, {60, 0, 0});
  crowd.hands = {{a, here}, {b, there}, {b, here}};
  crowd.run(20s);
  CHECK(crowd.begun(b) == Approx(20).margin(2));
  CHECK(crowd.begun(a) + crowd.begun(b) >= 0.95 * 2'000);
}

} // namespace turns_test
