// What COORDINATOR believes of a worker's words: what it was given, within what can be.
#include "actors/coordinator/sessions/proof.hpp"
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"
#include "tests/unit/nano_usd.hpp"

#include <algorithm>

namespace coordinator_proof_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

namespace {

// Two workers with a job; the first has calls 1 to 4 in hand, of which 1 and 2 are permitted.
struct Two : Bench {
  Speaker worker{1}, other{2, 0};
  explicit Two(Options options = {epoch, "", {}}) : Bench{std::move(options)} {
    open_job();
    join(worker);
    join(other);
    offer(1, 4);
    take_batch(worker);
    grant(worker, ids({1, 2}));
    take_messages<Permits>(worker);
    take();
  }
  bool has_event(std::string_view name) const {
    return std::any_of(seen.events.begin(), seen.events.end(),
                       [name](const Event& event) { return event.name == name; });
  }
  std::size_t in_flight() const { return coordinator.sessions().in_flight(JobId{7}); }
};

struct Restarted : Bench {
  Restarted() : Bench{restarted()} { open_job(7, with_endpoint(), may_have_called); }
};

} // namespace

TEST_CASE("an outcome counts only for the call and the attempt that its session was given",
          "[proof]") {
  Two bench;
  Outcome outcome = outcome_of(1);
  outcome.cls = GENERATE(OutcomeClass::ok, OutcomeClass::bad_line);
  bool by_other = false;
  SECTION("of another worker's call") {
    by_other = true;
  }
  SECTION("of a call that nobody has") {
    outcome = outcome_of(50);
  }
  SECTION("of a call that has no permit") {
    outcome = outcome_of(3);
  }
  SECTION("of another attempt") {
    outcome.attempt = Bench::attempt_of(2);
  }
  SECTION("for another item") {
    outcome.parts.front().item = 2;
  }
  SECTION("for another job") {
    outcome.parts.front().job = JobId{8};
  }
  SECTION("for more than its item") {
    outcome.parts.push_back({JobId{7}, 2, 0});
  }
  SECTION("from another endpoint") {
    outcome.endpoint = EndpointId{2};
  }
  bench.say(by_other ? bench.other : bench.worker, Outcomes{{outcome}});
  CHECK(bench.seen.ended.empty());
  CHECK(bench.take_news().outcomes.empty());
  CHECK(bench.in_flight() == 2);
  CHECK(bench.has_event("worker.forged"));
  CHECK(bench.coordinator.sessions().workers().at(by_other ? 1 : 0).completed == 0);
  // What is true still counts.
  bench.say(bench.worker, Outcomes{{outcome_of(1), outcome_of(2)}});
  CHECK(bench.take_news().outcomes.size() == 2);
  CHECK(bench.in_flight() == 0);
}

TEST_CASE("a permit comes back only from who has it, and once", "[proof]") {
  Two bench;
  const Returned::Entry entry{CallId{1}, Bench::attempt_of(1)};
  bench.say(bench.other, Returned{{entry}});
  CHECK(bench.seen.ended.empty());
  CHECK(bench.has_event("worker.forged"));
  bench.say(bench.worker, Returned{{entry}});
  CHECK(bench.seen.ended.size() == 1);
  bench.say(bench.worker, Returned{{entry}});
  CHECK(bench.seen.ended.size() == 1);
}

TEST_CASE("a worker that says thrice within a minute what cannot be true is not heard for one",
          "[proof]") {
  Two bench;
  const auto lie = [&] { bench.say(bench.other, Outcomes{{outcome_of(1)}}); };
  lie();
  bench.now += 30s;
  lie();
  CHECK(bench.coordinator.sessions().workers().size() == 2);
  SECTION("a minute after the first") {
    bench.now += 30s;
    lie();
    CHECK(bench.coordinator.sessions().workers().size() == 2);
  }
  SECTION("before") {
    bench.now += 29s;
    lie();
    CHECK(bench.coordinator.sessions().workers().size() == 1);
    CHECK(bench.take_messages<Refused>(bench.other).size() == 1);
    bench.now += 59s;
    bench.say_hello(bench.other);
    const auto refused = bench.take_messages<Refused>(bench.other);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].code == RefusedCode::full);
    bench.now += 1s;
    bench.say_hello(bench.other);
    CHECK(bench.take_messages<Refused>(bench.other).empty());
  }
}

TEST_CASE("a worker that was given up may tell how its calls ended, nobody else may", "[proof]") {
  Two bench;
  bench.hear(bench.coordinator.peer_gone("peer-1", bench.now));
  bench.tick_at(bench.now + defaults::closed_lost);
  CHECK(bench.take_news().lost.size() == 2);
  Speaker thief{3};
  thief.hello.in_flight = {claim_of(1)};
  thief.hello.outbox = {claim_of(2)};
  CHECK(bench.join(thief).drop_attempts == std::vector{Bench::attempt_of(1), Bench::attempt_of(2)});
  CHECK(bench.has_event("worker.unproven"));
  CHECK(bench.take_news().kept.empty());
  // It says that it aborted what it was told to: that is no lie.
  bench.say(thief, Outcomes{{outcome_of(1)}});
  CHECK_FALSE(bench.has_event("worker.forged"));
  CHECK(bench.take_news().outcomes.empty());
  CHECK(bench.take_messages<Recorded>(thief).size() == 1);

  bench.worker.hello.in_flight = {claim_of(1)};
  bench.worker.hello.outbox = {claim_of(2)};
  CHECK(bench.join(bench.worker).drop_attempts.empty());
  bench.say(bench.worker, Outcomes{{outcome_of(1), outcome_of(2)}});
  CHECK(bench.take_news().outcomes.size() == 2);
}

TEST_CASE("what was told is told again after a reconnect, until its record was heard of",
          "[proof]") {
  Two bench;
  bench.say(bench.worker, Outcomes{{outcome_of(1)}});
  CHECK(bench.take_news().outcomes.size() == 1);
  bench.worker.hello.outbox = {claim_of(1)};
  bool again = true;
  SECTION("not recorded") {}
  SECTION("recorded, and the worker cannot know") {
    bench.hear(bench.coordinator.recorded(bench.worker.session, {Bench::attempt_of(1)}, bench.now));
  }
  SECTION("recorded, and the worker has heard of it") {
    bench.hear(bench.coordinator.recorded(bench.worker.session, {Bench::attempt_of(1)}, bench.now));
    CHECK(bench.take_messages<Recorded>(bench.worker).size() == 1);
    bench.beat(bench.worker, 1, 2);
    again = false;
  }
  CHECK(bench.join(bench.worker).drop_attempts.empty() == again);
}

TEST_CASE("after a restart a claim is believed of a process that was there, below the mark, once",
          "[proof]") {
  Restarted bench;
  Speaker worker;
  SECTION("of a process that was there") {
    worker.hello.in_flight = {claim_of(9, 7, before)};
    CHECK(bench.join(worker).drop_attempts.empty());
    CHECK(bench.take_news().claims.size() == 1);
    // Another process cannot claim it, and this one may again.
    Speaker other{2};
    other.hello = worker.hello;
    other.hello.process = Nonce{2};
    CHECK(bench.join(other).drop_attempts.size() == 1);
    CHECK(bench.join(worker).drop_attempts.empty());
  }
  SECTION("at the mark") {
    worker.hello.in_flight = {claim_of(10, 7, before)};
    CHECK(bench.join(worker).drop_attempts.size() == 1);
  }
  SECTION("of an attempt of this life") {
    worker.hello.in_flight = {claim_of(9)};
    CHECK(bench.join(worker).drop_attempts.size() == 1);
  }
  SECTION("of a process that was not there") {
    worker.hello.process = Nonce{2};
    worker.hello.in_flight = {claim_of(9, 7, before)};
    CHECK(bench.join(worker).drop_attempts.size() == 1);
  }
}

TEST_CASE("a worker's name and endpoints are one line each", "[proof]") {
  Bench bench;
  Speaker worker;
  worker.hello.name = "gpu\xc2\x9b"
                      "7";
  worker.hello.endpoints.emplace_back().model = "m\xc2\x85n";
  bench.join(worker);
  CHECK(bench.coordinator.sessions().workers().at(0).name == "gpu 7");
  CHECK(bench.seen.endpoints_added.at(0).model == "m n");
}

TEST_CASE("a capacity is believed up to what a worker is given", "[proof]") {
  const std::uint64_t bytes = limits::held_bytes_max;
  const std::uint32_t calls = limits::worker_calls_max;
  CHECK(within_limits({calls - 1, bytes - 1}) == Capacity{calls - 1, bytes - 1});
  CHECK(within_limits({calls, bytes}) == Capacity{calls, bytes});
  CHECK(within_limits({calls + 1, bytes + 1}) == Capacity{calls, bytes});
  Bench bench;
  Speaker worker{1, UINT32_MAX};
  worker.hello.capacity.bytes = UINT64_MAX;
  bench.join(worker);
  CHECK(bench.coordinator.sessions().workers().at(0).capacity == calls);
  worker.hello.capacity.calls = UINT32_MAX - 1;
  bench.beat(worker, 0, 0);
  CHECK(bench.coordinator.sessions().workers().at(0).capacity == calls);
}

TEST_CASE("a worker is sent no more than it has heard of, and a bound", "[proof]") {
  Bench bench;
  bench.open_job();
  Speaker worker{1, 1'000};
  bench.join(worker);
  std::size_t sent = 0;
  // It asks for permits of calls without reading what it is sent.
  for (std::uint64_t call = 1; call <= 40; ++call) {
    bench.offer(call, call, 7, limits::mib * 8);
    for (const auto& [peer, frame] : bench.frames)
      if (const auto* batch = std::get_if<Batch>(&frame.messages[0])) sent += batch->calls.size();
    bench.frames.clear();
    bench.grant(worker, ids({call}));
  }
  CHECK(sent * 8 * limits::mib >= limits::unheard_bytes_max);
  CHECK(sent * 8 * limits::mib <= limits::unheard_bytes_max + limits::frame_bytes_max);
  worker.heard = 1'000;
  bench.beat(worker, 0, 0);
  bench.offer(41, 41);
  CHECK_FALSE(bench.take_batch(worker).empty());
}

TEST_CASE("a call costs no more than was reserved for it under a budget", "[proof][money]") {
  Options options = restarted();
  PoolSpec pool;
  pool.model = "m";
  pool.price = {1'000'000'000, 1'000'000'000};
  options.pools = {pool};
  JobSpec spec = with_endpoint();
  spec.shape.models = {"m"};
  const bool has_budget = GENERATE(true, false);
  if (has_budget) spec.limits.budget = nano_usd(1'000'000'000);
  Bench bench{options};
  bench.open_job(7, spec, {10, nano_usd(1'500)});
  Speaker worker;
  worker.hello.in_flight = {claim_of(8, 7, before), claim_of(9, 7, before)};
  bench.join(worker);
  bench.offer(1, 1);
  Granted granted{worker.session, Nonce{1}, {{CallId{1}, Bench::attempt_of(1), EndpointId{1}}}, {}};
  granted.notes = {{nano_usd(700)}};
  bench.hear(bench.coordinator.granted(granted, bench.now));
  Outcome now = outcome_of(1), first = outcome_of(8, 7, before), second = outcome_of(9, 7, before);
  for (Outcome* outcome : {&now, &first, &second})
    outcome->usage = {true, UINT64_MAX, UINT64_MAX, 0, 0};
  bench.say(worker, Outcomes{{now, first, second}});
  const auto told = bench.take_news().outcomes;
  REQUIRE(told.size() == 3);
  if (has_budget) {
    CHECK(told[0].cost == nano_usd(700));
    // What earlier lives may have spent is known all together.
    CHECK(told[1].cost == nano_usd(1'500));
    CHECK(told[2].cost == nano_usd(0));
  } else {
    CHECK(told[0].cost > nano_usd(700));
  }
}

} // namespace coordinator_proof_test
