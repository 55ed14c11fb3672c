// How long COORDINATOR leaves calls with a worker that lives and does nothing with them, and whom
// it hears no more.
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

#include <algorithm>

namespace coordinator_patience_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

namespace {

constexpr Duration call_most = 3s + defaults::call_margin;

// A worker that beats, with four calls in hand of a job that gives each call 3 s.
struct Slow : Bench {
  Speaker worker{1}, other{2, 0};
  Slow() {
    JobSpec spec = with_endpoint();
    spec.policy.timeout_ms = 2'000;
    spec.policy.connect_timeout_ms = 1'000;
    open_job(7, spec);
    join(worker);
    offer(1, 4);
    take_batch(worker);
    take();
  }
  // Heartbeats for so long; the last tick is at its end.
  void beats_for(Duration time, std::uint32_t in_flight, std::uint32_t held) {
    for (const Time end = now + time; now < end;) {
      tick_at(std::min(now + 2s, end));
      beat(worker, in_flight, held);
      take_messages<Recorded>(worker); // it hears all that it is told
      frames.clear();
    }
  }
  bool has_event(std::string_view name) const {
    return std::any_of(seen.events.begin(), seen.events.end(),
                       [name](const Event& event) { return event.name == name; });
  }
};

} // namespace

TEST_CASE("a call whose worker does not end it is given up when its time is over", "[patience]") {
  Slow bench;
  bench.grant(bench.worker, ids({1, 2, 3, 4}));
  bench.beats_for(call_most - 1ns, 4, 0);
  CHECK(bench.take_news().lost.empty());
  bench.tick_at(bench.now + 1ns);
  const auto lost = bench.take_news().lost;
  REQUIRE(lost.size() == 4);
  CHECK((lost[0].permitted && !lost[0].died));
  CHECK(bench.seen.ended.size() == 4);
  CHECK(bench.seen.ended[0].how == Ended::How::lost);
  CHECK(bench.has_event("worker.overdue"));
  REQUIRE(bench.take_messages<Cancel>(bench.worker).size() == 1);
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 0);
  // It is not given other calls for them.
  bench.offer(5, 8);
  CHECK(bench.take_batch(bench.worker).empty());

  SECTION("what it still says of them comes late, and is acknowledged") {
    bench.take();
    bench.say(bench.worker, Outcomes{{outcome_of(1)}});
    CHECK(bench.take_news().outcomes.size() == 1);
    CHECK(bench.seen.ended.empty());
    CHECK_FALSE(bench.has_event("worker.forged"));
  }
  SECTION("a permit that comes back late is nobody's") {
    bench.take();
    bench.say(bench.worker, Returned{{{CallId{1}, Bench::attempt_of(1)}}, true});
    CHECK(bench.take_news().returned.empty());
    CHECK(bench.seen.ended.empty());
    CHECK(bench.take_messages<Cancel>(bench.worker).size() == 1);
  }
  SECTION("its books are right as long as it has them") {
    bench.beats_for(10s, 4, 0);
    CHECK_FALSE(bench.has_event("worker.resync"));
  }
  SECTION("its end gives them up no second time") {
    bench.take();
    bench.hear(bench.coordinator.peer_gone("peer-1", bench.now));
    bench.tick_at(bench.now + defaults::closed_lost);
    CHECK(bench.take_news().lost.empty());
    CHECK(bench.seen.ended.empty());
  }
  SECTION("a new session of its process is to stop them, and may bring what has ended") {
    bench.worker.hello.in_flight = {claim_of(1)};
    bench.worker.hello.outbox = {claim_of(2)};
    CHECK(bench.join(bench.worker).drop_attempts == std::vector{Bench::attempt_of(1)});
    bench.take();
    bench.say(bench.worker, Outcomes{{outcome_of(1), outcome_of(2)}});
    CHECK(bench.take_news().outcomes.size() == 1);
    CHECK(bench.seen.ended.empty());
    CHECK_FALSE(bench.has_event("worker.forged"));
  }
}

TEST_CASE("a worker that does not end its calls rests, and is served last until it answers one",
          "[patience]") {
  Slow bench;
  bench.grant(bench.worker, ids({1}));
  for (const Time end = bench.now + call_most; bench.now < end;) { // to ask for more is no answer
    bench.need(bench.worker, ids({2}));
    bench.beats_for(std::min<Duration>(2s, end - bench.now), 1, 3);
  }
  CHECK(bench.has_event("worker.overdue"));
  CHECK(bench.take_news().returned.size() == 3); // what it holds goes elsewhere
  bench.offer(5, 6);
  bench.need(bench.worker, ids({2}));
  CHECK(bench.take_batch(bench.worker).empty());
  SECTION("another worker gets the calls") {
    bench.other.hello.capacity.calls = 8;
    bench.join(bench.other);
    CHECK(bench.take_batch(bench.other) == ids({5, 6}));
    bench.grant(bench.other, ids({5, 6}));
    for (const Time end = bench.now + defaults::held_idle + 2s; bench.now < end;) {
      bench.beats_for(2s, 1, 0);
      bench.beat(bench.other, 2, 0);
    }
    bench.offer(7, 7);
    CHECK(bench.take_batch(bench.other) == ids({7})); // though it has more to do
  }
  SECTION("after a while it is given a single one") {
    bench.beats_for(defaults::held_idle - 1ns, 1, 0);
    bench.tick_at(bench.now + 1ns);
    CHECK(bench.take_batch(bench.worker) == ids({5}));
    bench.grant(bench.worker, ids({5}));
    bench.need(bench.worker, ids({2}));
    CHECK(bench.take_batch(bench.worker).empty());
    bench.say(bench.worker, Outcomes{{outcome_of(5)}});
    CHECK(bench.take_batch(bench.worker) == ids({6}));
  }
}

TEST_CASE("a worker with room that asks for nothing loses what it holds", "[patience]") {
  Slow bench;
  bench.beats_for(defaults::held_idle - 1ns, 0, 4);
  CHECK(bench.take_news().returned.empty());
  bench.tick_at(bench.now + 1ns);
  CHECK(bench.take_news().returned.size() == 4);
  CHECK(bench.has_event("worker.idle"));
  const auto cancels = bench.take_messages<Cancel>(bench.worker);
  REQUIRE(cancels.size() == 1);
  CHECK(cancels[0].calls == ids({1, 2, 3, 4}));
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).kind == WaitKind::no_worker);
  // It is given nothing for a while, then one call, and everything when it does something.
  bench.offer(5, 8);
  bench.beats_for(defaults::held_idle - 1ns, 0, 0);
  CHECK(bench.coordinator.sessions().workers().at(0).held == 0);
  bench.tick_at(bench.now + 1ns);
  CHECK(bench.take_batch(bench.worker) == ids({5}));
  bench.need(bench.worker, ids({5}));
  CHECK(bench.take_batch(bench.worker) == ids({6, 7, 8}));
}

TEST_CASE("a worker that asks, or has all its hands full, keeps what it holds", "[patience]") {
  Slow bench;
  SECTION("it asks again and again") {
    for (int i = 0; i < 30; ++i) {
      bench.need(bench.worker, ids({1}));
      bench.beats_for(2s, 0, 4);
    }
  }
  SECTION("it makes as many calls as it can") {
    bench.offer(5, 8);
    bench.grant(bench.worker, ids({1, 2, 3, 4}));
    bench.beats_for(defaults::held_idle + 10s, 4, 1);
  }
  CHECK_FALSE(bench.has_event("worker.idle"));
}

TEST_CASE("a worker that says it can do nothing and returns nothing loses what it holds",
          "[patience]") {
  Slow bench;
  bench.worker.hello.capacity.calls = 0;
  bench.beats_for(defaults::held_idle + 2s, 0, 4);
  CHECK(bench.take_news().returned.size() == 4);
}

TEST_CASE("a peer whose key is removed is told nothing more, and its calls go elsewhere",
          "[patience]") {
  Slow bench;
  bench.grant(bench.worker, ids({1}));
  bench.frames.clear();
  bench.take();
  bench.hear(bench.coordinator.key_removed("peer-1", bench.now));
  CHECK(bench.coordinator.sessions().workers().empty());
  const auto news = bench.take_news();
  CHECK(news.lost.size() == 1);
  CHECK(news.returned.size() == 3);
  CHECK(bench.closed_sessions.contains(bench.worker.session));
  bench.offer(5, 8);
  CHECK(bench.frames.empty());
}

TEST_CASE("a full roster has room for the session that replaces its process's own", "[patience]") {
  Bench bench;
  std::vector<Speaker> workers;
  for (std::uint64_t i = 1; i <= limits::sessions_max; ++i) {
    workers.emplace_back(i);
    workers.back().user = "user-" + std::to_string(i % 2);
    bench.say_hello(workers.back());
  }
  CHECK(bench.frames.empty());
  bench.say_hello(workers.front());
  CHECK(bench.frames.empty());
  CHECK(bench.coordinator.sessions().workers().size() == limits::sessions_max);
}

TEST_CASE("one key cannot fill the roster", "[patience]") {
  Bench bench;
  for (std::uint64_t i = 1; i <= limits::sessions_per_key_max; ++i) {
    Speaker worker{i};
    bench.say_hello(worker);
  }
  CHECK(bench.frames.empty());
  Speaker one_more{limits::sessions_per_key_max + 1};
  bench.say_hello(one_more);
  const auto refused = bench.take_messages<Refused>(one_more);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].code == RefusedCode::full);
  one_more.user = "another";
  bench.say_hello(one_more);
  CHECK(bench.frames.empty());
}

TEST_CASE("a worker is told which jobs it may forget", "[patience]") {
  Bench bench;
  Speaker worker{1};
  bench.join(worker);
  bench.open_job();
  bench.offer(1, 1);
  bench.take_batch(worker);
  bench.hear(bench.coordinator.job_closed(JobId{7}, bench.now));
  const auto recorded = bench.take_messages<Recorded>(worker);
  REQUIRE(recorded.size() == 1);
  CHECK(recorded[0].closed_jobs == std::vector{JobId{7}});
  // It is opened again before a call of it.
  bench.frames.clear();
  bench.open_job();
  bench.offer(2, 2);
  CHECK(bench.take_messages<JobOpened>(worker).size() == 1);
}

TEST_CASE("of jobs that a worker holds nothing of it knows those that were used last",
          "[patience]") {
  Session session{epoch};
  KnownJobs& jobs = session.jobs;
  const auto is_busy = [&](JobId job) { return session.calls.held_of(job) > 0; };
  const std::uint32_t most = limits::kept_specs_bytes_max / limits::kept_spec_bytes_least;
  for (std::uint32_t job = 1; job <= most; ++job) CHECK(jobs.open(JobId{job}, 100));
  CHECK(jobs.close_idle(is_busy).empty());
  CHECK_FALSE(jobs.open(JobId{1}, 100));
  Assigned held;
  held.job = JobId{2};
  session.give(CallId{1}, held);
  CHECK(jobs.open(JobId{most + 1}, 100));
  CHECK(jobs.close_idle(is_busy) == std::vector{JobId{3}});
  CHECK(jobs.open(JobId{3}, limits::spec_bytes_max));
  CHECK(jobs.close_idle(is_busy).size() == limits::spec_bytes_max / limits::kept_spec_bytes_least);
  CHECK_FALSE(jobs.open(JobId{2}, 100));
}

} // namespace coordinator_patience_test
