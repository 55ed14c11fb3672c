// Workers that come back, coordinators that come back, jobs that close: whose call is it then.
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

namespace coordinator_reconnect_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

namespace {

AnnouncedEndpoint announced(const std::string& url) {
  AnnouncedEndpoint endpoint;
  endpoint.endpoint.url = url;
  return endpoint;
}

// A worker that holds calls 1 to 4, of which 1 and 2 have permits.
struct Busy : Bench {
  Speaker worker;
  Busy() {
    open_job();
    join(worker);
    offer(1, 4);
    REQUIRE(take_batch(worker) == ids({1, 2, 3, 4}));
    grant(worker, ids({1, 2}));
    frames.clear();
    take();
  }
};

} // namespace

TEST_CASE("what a worker and we both know goes on in its new session without a word") {
  Busy bench;
  bench.worker.hello.in_flight = {claim_of(1)};
  bench.worker.hello.outbox = {claim_of(2)};
  bench.worker.hello.held = ids({3, 4});
  bench.worker.peer = GENERATE("peer-1", "peer-9");
  const SessionId before = bench.worker.session;
  const auto welcome = bench.join(bench.worker);
  CHECK(welcome.drop_attempts.empty());
  CHECK(welcome.keep_held == ids({3, 4}));
  CHECK(bench.worker.session > before);
  const auto news = bench.take_news();
  CHECK(news.lost.empty());
  CHECK(news.returned.empty());
  CHECK(news.claims.empty());
  CHECK(news.kept.empty());
  CHECK(bench.seen.ended.empty());
  REQUIRE(bench.coordinator.sessions().workers().size() == 1);
  CHECK(bench.coordinator.sessions().workers()[0].in_flight == 2);
  CHECK(bench.coordinator.sessions().workers()[0].held == 2);
  CHECK(bench.take_batch(bench.worker).empty());
}

TEST_CASE("the session that a worker's new one replaces is closed in the journal") {
  Busy bench;
  const SessionId before = bench.worker.session;
  bench.say_hello(bench.worker);
  REQUIRE(bench.seen.sessions.size() == 2);
  CHECK(bench.seen.sessions[0].session == before);
  CHECK_FALSE(bench.seen.sessions[0].open);
  CHECK(bench.seen.sessions[1].open);
}

TEST_CASE("what a worker does not know any more was never started; its permits end as lost") {
  Busy bench;
  bench.worker.hello.held = ids({3});
  bench.join(bench.worker);
  const auto news = bench.take_news();
  REQUIRE(news.returned.size() == 3);
  for (const auto& call : news.returned) CHECK_FALSE(call.permitted);
  CHECK(bench.seen.ended.size() == 2);
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 0);
}

TEST_CASE("a permit that got lost with the connection comes back, its call stays") {
  Busy bench;
  bench.worker.hello.in_flight = {claim_of(1)};
  bench.worker.hello.held = ids({2, 3, 4});
  const auto welcome = bench.join(bench.worker);
  CHECK(welcome.keep_held == ids({2, 3, 4}));
  REQUIRE(bench.seen.ended.size() == 1);
  CHECK(bench.seen.ended[0].how == Ended::How::unstarted);
  CHECK(bench.seen.ended[0].attempt == Bench::attempt_of(2));
  bench.need(bench.worker, ids({2}));
  CHECK(bench.seen.acquires.size() == 1);
}

TEST_CASE("after a restart claims and kept outcomes of living jobs are adopted, others dropped") {
  Bench bench{restarted()};
  bench.open_job(7, with_endpoint(), may_have_called);
  Speaker worker;
  worker.hello.in_flight = {claim_of(1, 7, before), claim_of(2, 9, before)};
  worker.hello.outbox = {claim_of(3, 7, before), claim_of(4, 9, before)};
  worker.hello.held = ids({5});
  const auto welcome = bench.join(worker);
  CHECK(welcome.drop_attempts ==
        std::vector{AttemptId::of(before, 1, 2), AttemptId::of(before, 1, 4)});
  CHECK(welcome.keep_held.empty());
  const auto news = bench.take_news();
  CHECK(news.claims == std::vector{claim_of(1, 7, before)});
  CHECK(news.kept == std::vector{claim_of(3, 7, before)});
  REQUIRE(bench.seen.claimed.size() == 2);
  CHECK_FALSE(bench.seen.claimed[0].has_ended);
  CHECK(bench.seen.claimed[1].has_ended);
  CHECK(bench.seen.claimed[0].attempt == AttemptId::of(before, 1, 1));
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 2);
  bench.say(worker, Outcomes{{outcome_of(1, 7, before), outcome_of(3, 7, before)}});
  CHECK(bench.take_news().outcomes.size() == 2);
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 0);
}

TEST_CASE("a Hello that names a call twice leaves the books right") {
  Bench bench{restarted()};
  bench.open_job(7, with_endpoint(), may_have_called);
  Speaker worker;
  const Claim claim = claim_of(1, 7, before);
  worker.hello.in_flight = {claim, claim};
  worker.hello.outbox = {claim};
  bench.join(worker);
  CHECK(bench.coordinator.sessions().workers().at(0).in_flight == 1);
  bench.say(worker, Outcomes{{outcome_of(1, 7, before)}});
  CHECK(bench.coordinator.sessions().workers().at(0).in_flight == 0);
}

TEST_CASE("the grace is over when all expected processes came, or its time has passed") {
  const bool all_come = GENERATE(false, true);
  CAPTURE(all_come);
  // The first came back once before; the row of its session before is still open.
  const std::vector<journal::SessionNote> open{{SessionId{11}, "worker-1", Nonce{1}, true},
                                               {SessionId{12}, "worker-2", Nonce{2}, true},
                                               {SessionId{13}, "worker-1", Nonce{1}, true}};
  Bench bench{Options{epoch, "", open}};
  bench.open_job();
  Speaker first{1}, second{2};
  bench.join(first);
  bench.tick_at(bench.now + 1s);
  CHECK_FALSE(bench.take_news().grace_over);
  if (all_come) {
    bench.join(second);
    bench.tick_at(bench.now);
  } else {
    bench.tick_at(bench.now + defaults::restart_grace - 1s - 1ns);
    CHECK_FALSE(bench.take_news().grace_over);
    bench.tick_at(bench.now + 1ns);
  }
  CHECK(bench.take_news().grace_over);
  bench.open_job(8);
  CHECK(bench.take_news(8).grace_over);
  // The next life waits for nobody of the life before ours.
  CHECK(bench.closed_sessions == std::set{SessionId{11}, SessionId{12}, SessionId{13}});
}

TEST_CASE("after a restart no more calls are unknown than lost workers could have in flight") {
  // The second one had come back once before.
  const std::vector<journal::SessionNote> open{{SessionId{11}, "worker-1", Nonce{1}, true, 4},
                                               {SessionId{12}, "worker-2", Nonce{2}, true, 8},
                                               {SessionId{13}, "worker-2", Nonce{2}, true, 6}};
  Bench bench{Options{epoch, "", open}};
  bench.open_job();
  SECTION("one comes back and says what it has") {
    Speaker first{1};
    bench.join(first);
    bench.tick_at(bench.now + defaults::restart_grace);
    CHECK(bench.take_news().untold_calls == 8);
  }
  SECTION("none comes back") {
    bench.tick_at(bench.now + defaults::restart_grace);
    CHECK(bench.take_news().untold_calls == 12);
    bench.open_job(8); // later in the same life
    CHECK(bench.take_news(8).untold_calls == 12);
  }
  SECTION("all come back") {
    Speaker first{1}, second{2};
    bench.join(first);
    bench.join(second);
    bench.tick_at(bench.now);
    const JobNews news = bench.take_news();
    CHECK(news.grace_over);
    CHECK(news.untold_calls == 0);
  }
  SECTION("another process comes under a lost one's name") {
    Speaker first{1}, successor{3};
    successor.hello.name = "worker-2";
    bench.join(first);
    bench.join(successor);
    bench.tick_at(bench.now);
    CHECK(bench.take_news().untold_calls == 8);
  }
}

TEST_CASE("workers that died with the last life are not waited for, and their sessions are over") {
  const std::vector<journal::SessionNote> open{{SessionId{11}, "local-1", Nonce{1}, true, 4}};
  Bench bench{Options{epoch, "", open, {}, true}};
  bench.open_job();
  bench.tick_at(bench.now);
  const JobNews news = bench.take_news();
  CHECK(news.grace_over);
  CHECK(news.untold_calls == 4);
  CHECK(bench.closed_sessions == std::set{SessionId{11}});
}

TEST_CASE("the grace does not wait for a process whose successor has come under its name") {
  const bool fresh = GENERATE(false, true);
  CAPTURE(fresh);
  Bench bench{Options{epoch, "", {{SessionId{11}, "worker-2", Nonce{1}, true}}}};
  bench.open_job();
  Speaker successor{2};
  // One that has calls in hand lived before: the two share a name.
  if (!fresh) successor.hello.in_flight = {claim_of(1)};
  bench.join(successor);
  bench.tick_at(bench.now);
  CHECK(bench.take_news().grace_over == fresh);
}

TEST_CASE("a new process under the name of one whose connection closed has replaced it") {
  const auto [closed, name, user, fresh, replaced] =
      GENERATE(table<bool, std::string, std::string, bool, bool>({
          {true, "worker-1", "user", true, true},
          {false, "worker-1", "user", true, false},
          {true, "worker-2", "user", true, false},
          {true, "worker-1", "somebody", true, false},
          {true, "worker-1", "user", false, false}, // it has calls: no new process
      }));
  CAPTURE(closed, name, user);
  Busy bench;
  bench.lives(bench.worker);
  if (closed) bench.hear(bench.coordinator.peer_gone(bench.worker.peer, bench.now));
  Speaker next{2};
  next.hello.name = name;
  next.user = user;
  if (!fresh) next.hello.held = ids({77});
  bench.say_hello(next);
  const auto news = bench.take_news();
  CHECK(news.lost.size() == (replaced ? 2 : 0));
  CHECK(news.returned.size() == (replaced ? 2 : 0));
  for (const auto& call : news.lost) {
    CHECK(call.died);
    CHECK_FALSE(call.alone);
  }
  CHECK(bench.coordinator.sessions().workers().size() == (replaced ? 1 : 2));
}

TEST_CASE("a worker's death says nothing of a call that it has outlived") {
  Busy bench;
  bench.worker.hello.in_flight = {claim_of(1)};
  bench.worker.hello.outbox = {claim_of(2)};
  bench.join(bench.worker);
  bench.lives(bench.worker);
  bench.hear(bench.coordinator.peer_gone(bench.worker.peer, bench.now));
  bench.take_news();
  bench.tick_at(bench.now + defaults::closed_lost);
  const auto news = bench.take_news();
  REQUIRE(news.lost.size() == 2);
  CHECK(news.lost[0].died);
  CHECK_FALSE(news.lost[1].died);
}

TEST_CASE("another process on the same connection has replaced the first") {
  Busy bench;
  Speaker next{2};
  next.peer = bench.worker.peer;
  bench.say_hello(next);
  CHECK(bench.take_news().lost.size() == 2);
  CHECK(bench.coordinator.sessions().workers().size() == 1);
}

TEST_CASE("two heartbeats in a row that differ from our books ask for a resync, one does not") {
  Busy bench;
  const auto resyncs = [&] {
    std::size_t count = 0;
    for (const auto& refused : bench.take_messages<Refused>(bench.worker))
      count += refused.code == RefusedCode::resync;
    return count;
  };
  bench.take_messages<Permits>(bench.worker);
  bench.worker.heard = 1'000; // more than was sent: not comparable
  for (int i = 0; i < 3; ++i) bench.beat(bench.worker, 0, 0);
  CHECK(resyncs() == 0);
  std::uint64_t last = 0;
  const auto beat_that_heard_all = [&](std::uint32_t in_flight, std::uint32_t held) {
    for (const auto& [peer, frame] : bench.frames) last = std::max(last, frame.seq);
    bench.worker.heard = last;
    bench.beat(bench.worker, in_flight, held);
  };
  beat_that_heard_all(1, 2);
  CHECK(resyncs() == 0);
  beat_that_heard_all(2, 2);
  beat_that_heard_all(2, 1);
  CHECK(resyncs() == 0);
  beat_that_heard_all(2, 1);
  CHECK(resyncs() == 1);
  // What changes nothing in the worker's hands need not have been heard.
  for (int i = 0; i < 2; ++i) {
    bench.worker.heard = last; // before the answer to the beat
    bench.beat(bench.worker, 2, 1);
  }
  CHECK(resyncs() == 1);
}

TEST_CASE("an announced endpoint is for its session and keeps its id over reconnects") {
  Bench bench;
  Speaker first{1}, second{2};
  for (Speaker* worker : {&first, &second})
    worker->hello.endpoints = {announced("http://localhost:8000/v1"), announced("http://b")};
  const auto welcome = bench.join(first);
  REQUIRE(welcome.endpoints.size() == 2);
  CHECK(welcome.endpoints[0] != welcome.endpoints[1]);
  REQUIRE(bench.seen.endpoints_added.size() == 2);
  CHECK(bench.seen.endpoints_added[0].only == first.session);
  CHECK(bench.seen.endpoints_added[0].id == welcome.endpoints[0]);
  // The same URL elsewhere is another server.
  CHECK(bench.join(second).endpoints[0] != welcome.endpoints[0]);
  bench.take();
  first.peer = "peer-9";
  CHECK(bench.join(first).endpoints == welcome.endpoints);
  REQUIRE(bench.seen.endpoints_added.size() == 2);
  CHECK(bench.seen.endpoints_added[0].only == first.session);
  CHECK(bench.seen.endpoints_gone.empty());
  bench.say(first, Goodbye{});
  CHECK(bench.seen.endpoints_gone == welcome.endpoints);
  // Also in the next life of the coordinator, so that a claim still means the same endpoint.
  Bench next{Options{Epoch{4}, "", {}}};
  Speaker again{1};
  again.hello.endpoints = first.hello.endpoints;
  CHECK(next.join(again).endpoints == welcome.endpoints);
}

TEST_CASE("a worker hears in its Welcome, and not before, which of its calls are to stop") {
  const bool closed = GENERATE(false, true); // the job, or only its item has been answered
  CAPTURE(closed);
  Bench bench{restarted()};
  bench.open_job(7, with_endpoint(), may_have_called);
  Speaker worker;
  worker.hello.in_flight = {claim_of(1, 7, before)};
  bench.say_hello(worker);
  worker.session = bench.seen.sessions.back().session;
  bench.hear(closed ? bench.coordinator.job_closed(JobId{7}, bench.now)
                    : bench.coordinator.withdrawn(JobId{7}, ids({1}), bench.now));
  CHECK(bench.frames.empty());
  CHECK(bench.seen.ended.size() == (closed ? 1 : 0));
  bench.hear(bench.coordinator.session_durable(worker.session, bench.now));
  const auto welcomes = bench.take_messages<Welcome>(worker);
  REQUIRE(welcomes.size() == 1);
  CHECK(welcomes[0].drop_attempts == std::vector{AttemptId::of(before, 1, 1)});
}

TEST_CASE("a closed job cancels its calls everywhere and frees their slots") {
  Busy bench;
  bench.open_job(8);
  bench.hear(bench.coordinator.job_closed(JobId{7}, bench.now));
  const auto cancels = bench.take_messages<Cancel>(bench.worker);
  REQUIRE(cancels.size() == 1);
  CHECK(cancels[0].calls == ids({1, 2, 3, 4}));
  CHECK(bench.seen.ended.size() == 2);
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 0);
  CHECK(bench.take_news(7).lost.empty());
  bench.offer(5, 8, 8);
  CHECK(bench.take_batch(bench.worker) == ids({5, 6, 7, 8}));
  // Its outcomes are wanted by nobody any more.
  bench.say(bench.worker, Outcomes{{outcome_of(1)}});
  CHECK(bench.take_messages<Recorded>(bench.worker).size() == 2); // and that it may forget the job
}

TEST_CASE("a job that is held starts nothing: what no worker is making goes back") {
  Busy bench;
  bench.offer(5, 20);
  bench.take();
  bench.hear(bench.coordinator.job_held(JobId{7}, bench.now));
  CHECK(bench.take_news().returned.size() == 18);
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 2);
  bench.tick_at(bench.now + 1s);
  CHECK(room_of(bench.take_news()).calls == 0);
}

TEST_CASE("a call of a held job whose permit came back unused goes back when it is asked for") {
  Busy bench;
  bench.hear(bench.coordinator.job_held(JobId{7}, bench.now));
  bench.frames.clear();
  bench.take();
  bench.say(bench.worker, Returned{{{CallId{1}, Bench::attempt_of(1)}}, true, true});
  bench.need(bench.worker, ids({1}));
  CHECK(bench.seen.acquires.empty());
  const auto cancels = bench.take_messages<Cancel>(bench.worker);
  REQUIRE(cancels.size() == 1);
  CHECK(cancels[0].calls == ids({1}));
  REQUIRE(bench.take_news().returned.size() == 1);
}

TEST_CASE("a Hello that a later one of its process overtook takes no session from it") {
  Bench bench;
  Speaker worker;
  worker.hello.number = 2;
  bench.join(worker);
  Speaker late = worker;
  late.peer = "peer-of-before";
  late.hello.number = 1;
  bench.say_hello(late);
  CHECK(bench.take().sessions.empty());
  CHECK(bench.frames.empty());
  bench.beat(worker, 0, 0);
  CHECK(bench.take_messages<Refused>(worker).empty());

  // The same one again, and the next, are heard.
  for (const std::uint32_t number : {2u, 3u}) {
    late.hello.number = number;
    bench.say_hello(late);
    CHECK_FALSE(bench.take().sessions.empty());
  }
}

} // namespace coordinator_reconnect_test
