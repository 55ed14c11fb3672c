// What a coordinator says of a call and of a job that has calls: who has it, and who has no room.
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

namespace coordinator_explain_test {

using namespace gristmill;
using namespace gristmill::coordinator_test;

TEST_CASE("a call is ready, with a worker, in flight, and gone") {
  Bench bench;
  const EndpointId endpoint = bench.open_job(7, with_endpoint()).at(0);
  const auto kind = [&](std::uint64_t call) {
    return bench.coordinator.standing(JobId{7}, CallId{call}, bench.now).kind;
  };
  bench.offer(1, 3);
  CHECK(kind(1) == WaitKind::no_worker);
  Speaker worker{1, 1};
  bench.join(worker);
  const auto sent = bench.take_batch(worker);
  REQUIRE(sent.size() == 2); // one, and one ahead
  CHECK(kind(1) == WaitKind::held);
  CHECK(kind(3) == WaitKind::workers_full);
  bench.hear(bench.coordinator.granted(
      {worker.session, Nonce{1}, {{CallId{1}, Bench::attempt_of(1), endpoint, 250}}, {}},
      bench.now));
  bench.now += 3s;
  const WaitReason flies = bench.coordinator.standing(JobId{7}, CallId{1}, bench.now);
  CHECK(flies.kind == WaitKind::in_flight);
  CHECK(flies.worker == "worker-1");
  CHECK(flies.endpoint == "http://own");
  CHECK(flies.attempt == Bench::attempt_of(1));
  CHECK(flies.since == bench.now - 3s);
  CHECK(kind(2) == WaitKind::workers_full);
  bench.hear(bench.coordinator.peer_gone(worker.peer, bench.now));
  CHECK_THAT(bench.coordinator.standing(JobId{7}, CallId{1}, bench.now).because,
             Catch::Contains("its connection is closed"));
}

TEST_CASE("a call at a worker waits for what the limiter said to calls of its model") {
  Bench bench;
  bench.open_job(7, with_endpoint());
  Speaker worker;
  bench.join(worker);
  bench.offer(1, 1);
  Waiting other{ids({9}), JobId{7}, 300, "other"};
  other.reason.kind = WaitKind::requests;
  bench.hear(bench.coordinator.granted({worker.session, Nonce{1}, {}, {other}}, bench.now));
  CHECK(bench.coordinator.standing(JobId{7}, CallId{1}, bench.now).kind == WaitKind::held);
  Waiting own{ids({1}), JobId{7}, 300};
  own.reason.kind = WaitKind::tokens;
  bench.hear(bench.coordinator.granted({worker.session, Nonce{1}, {}, {own}}, bench.now));
  const WaitReason waits = bench.coordinator.standing(JobId{7}, CallId{1}, bench.now);
  CHECK(waits.kind == WaitKind::tokens);
  CHECK(waits.worker == "worker-1");
}

TEST_CASE("that a journal is being written is said only of a slow disk") {
  Bench bench;
  bench.open_job(7, with_endpoint());
  Speaker worker;
  bench.join(worker);
  bench.offer(1, 1);
  for (const auto& [takes, kind] :
       {std::pair{499ms, WaitKind::held}, std::pair{500ms, WaitKind::journal}}) {
    Waiting writing{ids({1}), JobId{7}, 2};
    writing.reason = {.kind = WaitKind::journal, .since = bench.now - takes};
    bench.hear(bench.coordinator.granted({worker.session, Nonce{1}, {}, {writing}}, bench.now));
    CHECK(bench.coordinator.standing(JobId{7}, CallId{1}, bench.now).kind == kind);
  }
}

TEST_CASE("a job that has calls and no room waits for workers, or for its turn") {
  Bench bench;
  bench.open_job(7, with_endpoint());
  Speaker worker{1, 2};
  bench.join(worker);
  bench.offer(1, 2);
  CHECK_FALSE(bench.coordinator.why_waiting(JobId{7}, bench.now));
  bench.offer(3, 10);
  const WaitReason full = bench.coordinator.why_waiting(JobId{7}, bench.now);
  CHECK(full.kind == WaitKind::workers_full);
  CHECK(full.limit == 2);
  bench.open_job(8, with_endpoint());
  bench.offer(11, 20, 8);
  const WaitReason turn = bench.coordinator.why_waiting(JobId{8}, bench.now);
  CHECK(turn.kind == WaitKind::turn);
  CHECK(turn.limit == 1);
  Speaker more{2, 100};
  bench.join(more);
  CHECK_FALSE(bench.coordinator.why_waiting(JobId{8}, bench.now));
}

TEST_CASE("workers that take no calls are as good as none") {
  Bench bench;
  bench.open_job(7, with_endpoint());
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).limit == 0);
  Speaker worker;
  bench.join(worker);
  std::vector<coordinator::WorkerView> drained;
  bench.hear(bench.coordinator.drain("worker-1", drained, bench.now));
  const WaitReason nobody = bench.coordinator.why_waiting(JobId{7}, bench.now);
  CHECK(nobody.kind == WaitKind::no_worker);
  CHECK(nobody.limit == 1);
}

TEST_CASE("reasons of more models than are kept leave the first ones") {
  Bench bench;
  bench.open_job(7, with_endpoint());
  Speaker worker;
  bench.join(worker);
  const auto hear = [&](const std::string& model, WaitKind kind) {
    Waiting waiting{ids({1}), JobId{7}, 300, model};
    waiting.reason.kind = kind;
    waiting.reason.until = kind == WaitKind::tokens ? bench.now : bench.now + 1s;
    bench.hear(bench.coordinator.granted({worker.session, Nonce{1}, {}, {waiting}}, bench.now));
  };
  for (int n = 0; n < 16; ++n) hear(fmt::format("m-{}", n), WaitKind::requests);
  hear("m-16", WaitKind::tokens); // one more than there is room for
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).kind == WaitKind::requests);
  bench.now += 2s; // the others are old now
  hear("m-16", WaitKind::tokens);
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).kind == WaitKind::tokens);
}

} // namespace coordinator_explain_test
