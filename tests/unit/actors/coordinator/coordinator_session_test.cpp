// How a worker comes, is heard, falls silent and goes.
#include "protocol/limits.hpp"
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

namespace coordinator_session_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

TEST_CASE("a Hello is welcomed when its session is durable, and gets nothing before") {
  Bench bench;
  bench.open_job();
  bench.offer(1, 4);
  Speaker worker;
  bench.say_hello(worker);
  REQUIRE(bench.seen.sessions.size() == 1);
  const auto note = bench.seen.sessions[0];
  CHECK(note.open);
  CHECK(note.worker == "worker-1");
  CHECK(note.process == Nonce{1});
  CHECK(note.session.value >> 32 == epoch.value);
  CHECK(bench.frames.empty());
  bench.tick_at(bench.now + 1s);
  CHECK(bench.frames.empty());
  bench.hear(bench.coordinator.session_durable(note.session, bench.now));
  REQUIRE(bench.frames.size() >= 2);
  const Frame& first = bench.frames[0].second;
  CHECK(std::holds_alternative<Welcome>(first.messages[0]));
  CHECK(first.session == note.session);
  CHECK(first.seq == 1);
  CHECK(first.epoch == epoch);
  // Numbers rise without a gap; the Welcome has one of its own.
  CHECK(bench.frames[1].second.seq == 2);
  for (std::size_t i = 2; i < bench.frames.size(); ++i)
    CHECK(bench.frames[i].second.seq - bench.frames[i - 1].second.seq <= 1);
  CHECK(bench.take_batch(worker).size() > 0);
}

TEST_CASE("a session that became durable after its connection closed is not welcomed") {
  Bench bench;
  Speaker worker;
  bench.say_hello(worker);
  bench.hear(bench.coordinator.peer_gone(worker.peer, bench.now));
  bench.hear(bench.coordinator.session_durable(bench.seen.sessions[0].session, bench.now));
  CHECK(bench.frames.empty());
}

TEST_CASE("who has no session is told to say Hello") {
  Bench bench;
  Speaker worker;
  worker.session = SessionId{1};
  bench.beat(worker, 0, 0);
  auto refused = bench.take_messages<Refused>(worker);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].code == RefusedCode::no_session);
  bench.join(worker);
  worker.session = SessionId{1};
  bench.beat(worker, 0, 0);
  refused = bench.take_messages<Refused>(worker);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].code == RefusedCode::no_session);
}

TEST_CASE("a gap in the numbers asks for a resync, a repeated number is passed over") {
  Bench bench;
  Speaker worker;
  bench.join(worker);
  bench.beat(worker, 0, 0);
  worker.seq += 1;
  bench.beat(worker, 0, 0);
  const auto refused = bench.take_messages<Refused>(worker);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].code == RefusedCode::resync);
  bench.frames.clear();
  worker.seq = 0;
  bench.beat(worker, 0, 0);
  CHECK(bench.frames.empty());
}

TEST_CASE("workers of another version or cluster are refused with a sentence") {
  const auto [low, high, cluster, code] =
      GENERATE(table<std::uint16_t, std::uint16_t, std::string, RefusedCode>({
          {version_max + 1, version_max + 2, "ours", RefusedCode::version},
          {version_min - 1, version_min - 1, "ours", RefusedCode::version},
          {version_min, version_max, "theirs", RefusedCode::cluster},
          {version_min, version_max, "", RefusedCode::cluster},
      }));
  Bench bench{Options{epoch, "ours", {}}};
  Speaker worker;
  worker.hello.version_low = low;
  worker.hello.version_high = high;
  worker.hello.cluster = cluster;
  bench.say_hello(worker);
  const auto refused = bench.take_messages<Refused>(worker);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].code == code);
  CHECK_FALSE(refused[0].sentence.empty());
  CHECK(bench.seen.sessions.empty());
}

TEST_CASE("a worker that announces more endpoints than it may is refused with a sentence") {
  const auto refused = [](std::size_t endpoints) {
    Bench bench;
    Speaker worker;
    for (std::size_t i = 0; i < endpoints; ++i) {
      worker.hello.endpoints.emplace_back().model = "m";
      worker.hello.endpoints.back().endpoint.url = fmt::format("http://h{}/v1", i);
    }
    bench.say_hello(worker);
    CHECK(bench.seen.endpoints_added.size() == (endpoints > 64 ? 0 : endpoints));
    const auto refusals = bench.take_messages<Refused>(worker);
    return refusals.empty() ? std::string{} : refusals.front().sentence;
  };
  CHECK(refused(limits::hello_endpoints_max - 1).empty());
  CHECK(refused(limits::hello_endpoints_max).empty());
  CHECK_THAT(refused(limits::hello_endpoints_max + 1),
             Catch::StartsWith("expected a worker to announce at most 64 endpoints, got 65"));
}

TEST_CASE("one worker too many is refused") {
  Bench bench;
  for (std::uint64_t i = 1; i <= limits::sessions_max; ++i) {
    Speaker worker{i};
    worker.user = i % 2 == 0 ? "user" : "another";
    bench.say_hello(worker);
  }
  CHECK(bench.frames.empty());
  Speaker worker{limits::sessions_max + 1};
  bench.say_hello(worker);
  const auto refused = bench.take_messages<Refused>(worker);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].code == RefusedCode::full);
}

TEST_CASE("bytes that are no frame and frames that no worker says are events, not answers") {
  Bench bench;
  Speaker worker;
  bench.join(worker);
  bench.take();
  bench.hear(bench.coordinator.received({{worker.peer, "user", "garbage"}}, bench.now));
  bench.say(worker, Recorded{});
  REQUIRE(bench.seen.events.size() == 2);
  for (const auto& event : bench.seen.events) CHECK(event.warning);
  CHECK(bench.frames.empty());
}

TEST_CASE("a heartbeat is answered, and a worker without capacity gets nothing") {
  Bench bench;
  bench.open_job();
  Speaker worker;
  bench.join(worker);
  bench.beat(worker, 0, 0);
  CHECK(bench.take_messages<Recorded>(worker).size() == 1);
  worker.hello.capacity.calls = 0;
  bench.beat(worker, 0, 0);
  bench.offer(1, 4);
  CHECK(bench.take_batch(worker).empty());
  CHECK(bench.coordinator.sessions().workers().at(0).state == "draining");
}

TEST_CASE("a silent worker is suspected, gets nothing more, and is lost after the longer time") {
  Bench bench;
  bench.open_job();
  Speaker worker;
  bench.join(worker);
  bench.offer(1, 2);
  bench.take_batch(worker);
  const Time heard = bench.now;
  bench.tick_at(heard + defaults::silent_suspect - 1ns);
  CHECK(bench.coordinator.sessions().workers().at(0).state == "active");
  bench.tick_at(heard + defaults::silent_suspect);
  CHECK(bench.coordinator.sessions().workers().at(0).state == "suspect");
  bench.offer(3, 4);
  CHECK(bench.take_batch(worker).empty());
  bench.tick_at(heard + defaults::silent_lost - 1ns);
  CHECK(bench.coordinator.sessions().workers().size() == 1);
  bench.take();
  bench.tick_at(heard + defaults::silent_lost);
  CHECK(bench.coordinator.sessions().workers().empty());
  CHECK(bench.take_news().returned.size() == 2);
}

TEST_CASE("a worker whose Welcome waited for the journal is not silent") {
  Bench bench;
  Speaker worker;
  bench.say_hello(worker);
  const SessionId session = bench.seen.sessions[0].session;
  bench.tick_at(bench.now + 20s);
  CHECK(bench.frames.empty()); // the Welcome is the first that it hears
  bench.hear(bench.coordinator.session_durable(session, bench.now));
  bench.tick_at(bench.now + defaults::silent_suspect - 1ns);
  CHECK(bench.coordinator.sessions().workers().at(0).state == "active");
}

TEST_CASE("a word from a suspected worker makes it active again") {
  Bench bench;
  bench.open_job();
  Speaker worker;
  bench.join(worker);
  bench.tick_at(bench.now + defaults::silent_suspect);
  bench.offer(1, 2);
  CHECK(bench.take_batch(worker).empty());
  bench.beat(worker, 0, 0);
  CHECK(bench.take_batch(worker).size() == 2);
}

TEST_CASE("a closed connection without a Hello loses its session after its time") {
  Bench bench;
  bench.open_job();
  Speaker worker;
  bench.join(worker);
  bench.offer(1, 2);
  REQUIRE(bench.take_batch(worker).size() == 2);
  bench.grant(worker, ids({1}));
  // Of one that has only just begun no call is suspected.
  const auto [lived, counts] = GENERATE(table<Duration, bool>(
      {{defaults::death_counts_after - 1ns, false}, {defaults::death_counts_after, true}}));
  bench.lives(worker, lived);
  bench.take();
  bench.hear(bench.coordinator.peer_gone(worker.peer, bench.now));
  const Time closed = bench.now;
  bench.tick_at(closed + defaults::closed_lost - 1ns);
  CHECK(bench.take_news().lost.empty());
  bench.tick_at(closed + defaults::closed_lost);
  const auto news = bench.take_news();
  REQUIRE(news.lost.size() == 1);
  CHECK(news.lost[0].call == CallId{1});
  CHECK(news.lost[0].permitted);
  REQUIRE(news.returned.size() == 1);
  CHECK(news.returned[0].call == CallId{2});
  CHECK(news.lost[0].died == counts);
  CHECK(news.lost[0].alone);
  REQUIRE(bench.seen.ended.size() == 1);
  CHECK(bench.seen.ended[0].how == Ended::How::lost);
  CHECK(bench.seen.ended[0].attempt == Bench::attempt_of(1));
  REQUIRE(bench.seen.sessions.size() == 1);
  CHECK_FALSE(bench.seen.sessions[0].open);
}

TEST_CASE("a Goodbye ends the session at once, and nobody died of it") {
  Bench bench;
  bench.open_job();
  Speaker worker;
  bench.join(worker);
  bench.offer(1, 1);
  bench.grant(worker, bench.take_batch(worker));
  bench.take();
  bench.say(worker, Goodbye{});
  CHECK(bench.coordinator.sessions().workers().empty());
  const auto news = bench.take_news();
  REQUIRE(news.lost.size() == 1);
  CHECK_FALSE(news.lost[0].died);
}

TEST_CASE("a job waits when no worker is there, or for what the limiter said") {
  Bench bench;
  JobSpec spec;
  spec.endpoints.resize(1);
  bench.open_job(7, spec);
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).kind == WaitKind::no_worker);
  Speaker worker;
  bench.join(worker);
  CHECK_FALSE(bench.coordinator.why_waiting(JobId{7}, bench.now));
  Waiting waiting{ids({1}), JobId{7}, 300, "tokens per minute"};
  waiting.reason.kind = WaitKind::tokens;
  bench.hear(bench.coordinator.granted({worker.session, Nonce{9}, {}, {waiting}}, bench.now));
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).kind == WaitKind::tokens);
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now + 1'300ms).kind == WaitKind::tokens);
  CHECK_FALSE(bench.coordinator.why_waiting(JobId{7}, bench.now + 1'301ms));
  const auto waits = bench.take_messages<Wait>(worker);
  REQUIRE(waits.size() == 1);
  CHECK(waits[0] == Wait{Nonce{9}, ids({1}), 300});
}

TEST_CASE(
    "a worker that is told to drain gets no more, also when its heartbeat crossed the order") {
  Bench bench;
  bench.open_job();
  Speaker one{1}, two{2};
  bench.join(one);
  bench.join(two);
  std::vector<coordinator::WorkerView> drained;
  bench.hear(bench.coordinator.drain("worker-1", drained, bench.now));
  REQUIRE(drained.size() == 1);
  CHECK(drained[0].name == "worker-1");
  CHECK(drained[0].state == "draining");
  CHECK(bench.take_messages<Drain>(one).size() == 1);
  CHECK(bench.take_messages<Drain>(two).empty());
  bench.beat(one, 0, 0);
  bench.offer(1, 2);
  CHECK(bench.take_batch(one).empty());
  CHECK_FALSE(bench.take_batch(two).empty());
  // Told once.
  bench.hear(bench.coordinator.drain("worker-1", drained, bench.now));
  CHECK(bench.take_messages<Drain>(one).empty());
}

TEST_CASE("a drain goes to all sessions of a name, to one of a number, to none that is not there") {
  Bench bench;
  Speaker one{1}, two{2};
  one.hello.name = two.hello.name = "gpu";
  bench.join(one);
  bench.join(two);
  std::vector<coordinator::WorkerView> drained;
  bench.hear(bench.coordinator.drain("gp", drained, bench.now));
  CHECK(drained.empty());
  bench.hear(bench.coordinator.drain(to_string(two.session), drained, bench.now));
  REQUIRE(drained.size() == 1);
  CHECK(drained[0].session == two.session);
  drained.clear();
  bench.hear(bench.coordinator.drain("gpu", drained, bench.now));
  CHECK(drained.size() == 2);
  CHECK(bench.take_messages<Drain>(one).size() == 1);
}

TEST_CASE("a worker that was told to drain and lost its connection is told again") {
  Bench bench;
  Speaker worker;
  bench.say_hello(worker);
  std::vector<coordinator::WorkerView> drained;
  // Its Hello is not durable yet, so that nothing may be sent.
  bench.hear(bench.coordinator.drain(worker.hello.name, drained, bench.now));
  CHECK(drained.size() == 1);
  CHECK(bench.take_messages<Drain>(worker).empty());
  for (const auto& session : bench.take().sessions) worker.session = session.session;
  bench.hear(bench.coordinator.session_durable(worker.session, bench.now));
  CHECK(bench.take_messages<Welcome>(worker).size() == 1);
  CHECK(bench.take_messages<Drain>(worker).size() == 1);
  bench.hear(bench.coordinator.peer_gone(worker.peer, bench.now));
  bench.join(worker);
  CHECK(bench.take_messages<Drain>(worker).size() == 1);
}

TEST_CASE("a worker without work shows a rate of nothing, not of nearly nothing") {
  Bench bench;
  bench.open_job();
  Speaker worker;
  bench.join(worker);
  bench.offer(1, 1);
  bench.grant(worker, bench.take_batch(worker));
  bench.tick_at(bench.now + 1s);
  Outcomes outcomes;
  outcomes.outcomes.push_back(outcome_of(1));
  bench.say(worker, std::move(outcomes));
  bench.tick_at(bench.now + 1s);
  CHECK(bench.coordinator.sessions().workers().at(0).rate > 0);
  for (int i = 0; i < 60; ++i) {
    bench.beat(worker, 0, 0);
    bench.tick_at(bench.now + 1s);
  }
  CHECK(bench.coordinator.sessions().workers().at(0).rate == 0);
}

} // namespace coordinator_session_test
