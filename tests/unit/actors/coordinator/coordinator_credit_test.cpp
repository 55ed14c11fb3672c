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
    calls += room_of(news).calls;
    bytes += static_cast<std::int64_t>(room_of(news).bytes);
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
  CHECK(news.room == std::vector<StreamRoom>{{0, 64, limits::offer_bytes_max}});
  bench.tick_at(bench.now + 1s);
  CHECK(bench.take_news().room.empty());
}

TEST_CASE("more workers mean that more calls are asked for, up to a bound") {
  const auto [capacity, wanted] = GENERATE(table<std::uint32_t, std::uint32_t>({
      {100, 2 * 101},
      {100'000, limits::offer_calls_max},
  }));
  Bench bench;
  bench.open_job();
  std::uint32_t asked = room_of(bench.take_news()).calls;
  Speaker worker{1, capacity};
  bench.join(worker);
  asked += room_of(bench.take_news()).calls;
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

// ---- several models ----------------------------------------------------------------------------

TEST_CASE("a job has a stream for each model that its items are asked at, and one for its judge") {
  JobSpec spec = with_endpoint();
  CHECK(streams_of(spec) == 1);
  spec.shape.params = R"({"model":"a"})";
  CHECK(streams_of(spec) == 1);
  spec.shape.models = {"a"};
  CHECK(streams_of(spec) == 1);
  spec.shape.models = {"a", "b"};
  CHECK(streams_of(spec) == 2);
  spec.shape.judge_model = "a";
  CHECK(streams_of(spec) == 3);
  Bench bench;
  bench.open_job(7, spec);
  const auto news = bench.take_news();
  for (const std::uint32_t stream : {0, 1, 2})
    CHECK(room_of(news, stream) == StreamRoom{stream, 64, limits::offer_bytes_max / 3});
  CHECK(room_of(news).calls == 3 * 64);
}

TEST_CASE(
    "while all calls of one model wait for permits, those of the other are asked for and made",
    "[credit]") {
  const std::size_t item_bytes = GENERATE(10, 100'000, 4'000'000, 16'000'000);
  CAPTURE(item_bytes);
  Bench bench;
  JobSpec spec = with_endpoint();
  spec.shape.models = {"slow", "fast"};
  bench.open_job(7, spec);
  Speaker worker{1, 8};
  bench.join(worker);
  std::int64_t calls[2] = {}, bytes[2] = {};
  std::uint64_t next[2] = {1, 100'001}, answered = 0;
  // Each model's calls are offered as far as it has room, the slow one's first.
  const auto supply = [&] {
    const auto news = bench.take_news();
    for (const std::uint32_t stream : {0, 1}) {
      const StreamRoom room = room_of(news, stream);
      calls[stream] += room.calls;
      bytes[stream] += static_cast<std::int64_t>(room.bytes);
      CHECK(calls[stream] <= limits::offer_calls_max / 2);
      CHECK(bytes[stream] <= static_cast<std::int64_t>(limits::offer_bytes_max / 2));
      bench.stream = stream;
      bench.model = spec.shape.models[stream];
      for (; calls[stream] > 0 && bytes[stream] > 0; ++next[stream], --calls[stream]) {
        bench.offer(next[stream], next[stream], 7, item_bytes);
        bytes[stream] -= static_cast<std::int64_t>(item_bytes + 128);
      }
    }
  };
  std::vector<CallId> stuck;
  const std::uint64_t wanted = item_bytes > 1'000'000 ? 20 : 300;
  for (int rounds = 0; answered < wanted; ++rounds) {
    REQUIRE(rounds < 600);
    supply();
    std::vector<CallId> fast;
    for (const CallId call : bench.take_batch(worker))
      (call.value > 100'000 ? fast : stuck).push_back(call);
    bench.take_messages<JobOpened>(worker);
    if (fast.empty()) continue;
    bench.grant(worker, fast);
    Outcomes outcomes;
    for (const CallId call : fast) {
      auto outcome = outcome_of(call.value);
      outcome.parts = {{JobId{7}, call.value, PartNumber{1}.value()}};
      outcomes.outcomes.push_back(std::move(outcome));
    }
    answered += fast.size();
    bench.say(worker, outcomes);
    bench.take_messages<Permits>(worker);
  }
  CHECK_FALSE(stuck.empty());
  CHECK(bench.take_news().outcomes.size() > 0);
}

} // namespace coordinator_credit_test
