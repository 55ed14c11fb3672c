// What the coordinator asks of supervisors: enough to keep the workers busy, never more than its
// queues may hold, and on and on, whichever of calls and bytes runs out first.
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

namespace coordinator_credit_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

namespace {

// A supervisor that offers items of one size as long as it has credit.
struct Supply {
  std::uint64_t calls = 0, next = 1, last;
  std::int64_t bytes = 0;
  std::size_t item_bytes;

  Supply(std::uint64_t items, std::size_t bytes_each) : last{items}, item_bytes{bytes_each} {}

  void hear(Bench& bench) {
    const auto news = bench.take_news();
    calls += news.want_calls;
    bytes += static_cast<std::int64_t>(news.want_bytes);
    CHECK(calls <= limits::offer_calls_max);
    CHECK(bytes <= static_cast<std::int64_t>(limits::offer_bytes_max));
    const std::uint64_t first = next;
    for (; calls > 0 && bytes > 0 && next <= last; ++next) {
      --calls;
      bytes -= static_cast<std::int64_t>(item_bytes + 128);
    }
    if (next > first) bench.offer(first, next - 1, 7, item_bytes);
  }
};

} // namespace

TEST_CASE("a job is asked for calls before any worker is there") {
  Bench bench;
  bench.open_job();
  const auto news = bench.take_news();
  CHECK(news.want_calls == 64);
  CHECK(news.want_bytes == limits::offer_bytes_max);
  bench.tick_at(bench.now + 1s);
  CHECK(bench.take_news().want_calls == 0);
}

TEST_CASE("more workers mean that more calls are asked for, up to a bound") {
  const auto [capacity, wanted] = GENERATE(table<std::uint32_t, std::uint32_t>({
      {100, 2 * 101},
      {100'000, limits::offer_calls_max},
  }));
  Bench bench;
  bench.open_job();
  std::uint32_t asked = bench.take_news().want_calls;
  Speaker worker{1, capacity};
  bench.join(worker);
  asked += bench.take_news().want_calls;
  CHECK(asked == wanted);
}

TEST_CASE("a job is asked on and on, however large its items are") {
  const std::size_t item_bytes = GENERATE(10, 100'000, 1'000'000, 16'000'000);
  CAPTURE(item_bytes);
  Bench bench;
  bench.open_job();
  Speaker worker{1, 8};
  bench.join(worker);
  Supply supply{item_bytes > 1'000'000 ? 20u : 300u, item_bytes};
  std::uint64_t answered = 0;
  for (int rounds = 0; answered < supply.last; ++rounds) {
    REQUIRE(rounds < 2'000);
    supply.hear(bench);
    const auto calls = bench.take_batch(worker);
    bench.grant(worker, calls);
    Outcomes outcomes;
    for (const CallId call : calls) outcomes.outcomes.push_back(outcome_of(call.value));
    answered += calls.size();
    if (!calls.empty()) bench.say(worker, outcomes);
    bench.take_messages<Permits>(worker);
  }
}

TEST_CASE("a worker whose capacity shrank gets nothing until it has room again") {
  Bench bench;
  bench.open_job();
  Speaker worker{1, 8};
  bench.join(worker);
  bench.offer(1, 100);
  const auto calls = bench.take_batch(worker);
  REQUIRE(calls.size() == 10);
  worker.hello.capacity.calls = 2;
  bench.beat(worker, 0, 10);
  CHECK(bench.take_batch(worker).empty());
  bench.grant(worker, calls);
  for (std::uint64_t call = 1; call <= 7; ++call) bench.say(worker, Outcomes{{outcome_of(call)}});
  CHECK(bench.take_batch(worker).empty());
  bench.say(worker, Outcomes{{outcome_of(8)}});
  CHECK(bench.take_batch(worker).size() == 1);
}

TEST_CASE("a job that is held gets back what its supervisor had on the way") {
  Bench bench;
  bench.open_job();
  bench.hear(bench.coordinator.job_held(JobId{7}, bench.now));
  bench.take();
  bench.offer(1, 3);
  CHECK(bench.take_news().returned.size() == 3);
}

} // namespace coordinator_credit_test
