// Why a job or a call waits, told from sessions, facts and what the limiter said.
#include "actors/coordinator/waits.hpp"

#include <catch2/catch.hpp>

namespace waits_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
constexpr JobId job{7};

struct Stage {
  Waits waits;
  SessionMap sessions;
  JobFacts facts;

  Stage() { waits.job_opened(job); }
  Session& worker(std::uint64_t id, std::uint32_t calls) {
    auto session = std::make_unique<Session>(Epoch{1});
    protocol::Hello hello;
    hello.name = "worker-" + std::to_string(id);
    hello.capacity = {calls, 64u << 20};
    session->begin(SessionId{id}, "peer", "user", hello, start);
    session->durable(start);
    return *sessions.emplace(SessionId{id}, std::move(session)).first->second;
  }
  void hear(WaitKind kind, const std::string& model = "", Time until = never) {
    Waiting waiting{{}, job, 300, model};
    waiting.reason = {.kind = kind, .until = until};
    waits.hear(waiting, start);
  }
  WaitReason why(Time now = start) const { return waits.why_waiting(job, facts, sessions, now); }
};

} // namespace

TEST_CASE(
    "a job waits for the first of: a worker, its model, the limiter, room, earlier sessions") {
  Stage stage;
  stage.facts = {.unserved = "no pool", .item_unserved = "no endpoint", .claims_until = start + 5s};
  CHECK(stage.why().kind == WaitKind::no_worker);
  Session& worker = stage.worker(1, 1);
  worker.rest(Trial::until_it_asks, start);
  CHECK(stage.why().kind == WaitKind::no_worker); // it may do nothing with a call
  CHECK(stage.why().limit == 1);
  worker.progressed(Trial::until_it_asks, start);
  CHECK(stage.why().because == "no pool");
  stage.facts.unserved.reset();
  stage.hear(WaitKind::requests);
  CHECK(stage.why().kind == WaitKind::requests);
  CHECK(stage.why(start + 1301ms).because == "no endpoint");
  stage.facts.item_unserved.reset();
  CHECK(stage.why(start + 2s).kind == WaitKind::claims);
  CHECK(stage.why(start + 2s).until == start + 5s);
  stage.facts.queued = 1;
  CHECK_FALSE(stage.why(start + 2s)); // it has room
  worker.give(CallId{1}, {.job = job});
  CHECK(stage.why(start + 2s).kind == WaitKind::workers_full);
  CHECK(stage.why(start + 2s).limit == 1);
  stage.facts.others_queued = 3;
  CHECK(stage.why(start + 2s).kind == WaitKind::turn);
  CHECK(stage.why(start + 2s).limit == 3);
}

TEST_CASE("of a job that is not open only the lack of workers is told") {
  Stage stage;
  stage.waits.job_closed(job);
  CHECK(stage.why().kind == WaitKind::no_worker);
  stage.worker(1, 1);
  stage.hear(WaitKind::requests);
  CHECK_FALSE(stage.why());
}

TEST_CASE("of several models' reasons the one that ends first is told") {
  Stage stage;
  stage.worker(1, 1);
  stage.hear(WaitKind::requests, "a", start + 9s);
  stage.hear(WaitKind::tokens, "b", start + 3s);
  stage.hear(WaitKind::breaker, "c");
  CHECK(stage.why().kind == WaitKind::tokens);
}

TEST_CASE("a job keeps a bounded number of reasons, and new ones once the old are no news") {
  Stage stage;
  stage.worker(1, 1);
  for (std::size_t n = 0; n < Waits::reasons_max; ++n)
    stage.hear(WaitKind::requests, "m" + std::to_string(n), start + 9s);
  stage.hear(WaitKind::tokens, "one more", start + 1s);
  CHECK(stage.why().kind == WaitKind::requests);
  Waiting late{{}, job, 300, "one more"};
  late.reason = {.kind = WaitKind::tokens};
  stage.waits.hear(late, start + 5s);
  CHECK(stage.why(start + 5s).kind == WaitKind::tokens);
}

TEST_CASE("a call stands as its worker has it") {
  Stage stage;
  Session& worker = stage.worker(1, 1);
  worker.give(CallId{1}, {.job = job, .model = "a"});
  const auto standing = [&] {
    return stage.waits.standing(worker, *worker.calls.find(CallId{1}), start);
  };
  CHECK(standing().kind == WaitKind::held);
  CHECK(standing().worker == "worker-1");
  stage.hear(WaitKind::tokens, "b");
  CHECK(standing().kind == WaitKind::held);
  stage.hear(WaitKind::requests, "a");
  CHECK(standing().kind == WaitKind::requests);
  worker.calls.permit(CallId{1}, AttemptId{5}, EndpointId{2});
  worker.calls.expect_end(CallId{1}, 10s, start);
  CHECK(standing().kind == WaitKind::in_flight);
  CHECK(standing().attempt == AttemptId{5});
  CHECK(standing().since == start);
  worker.calls.give_up(CallId{1});
  CHECK_THAT(standing().because, Catch::Contains("made elsewhere"));
  worker.state = SessionState::suspect;
  CHECK_THAT(standing().because, Catch::Contains("silent"));
  worker.connection_closed(start);
  CHECK_THAT(standing().because, Catch::Contains("connection is closed"));
}

TEST_CASE("a call that a full worker holds waits for room there") {
  Stage stage;
  Session& worker = stage.worker(1, 1);
  worker.give(CallId{1}, {.job = job});
  worker.give(CallId{2}, {.job = job});
  worker.calls.permit(CallId{1}, AttemptId{5}, EndpointId{2});
  const WaitReason held = stage.waits.standing(worker, *worker.calls.find(CallId{2}), start);
  CHECK(held.kind == WaitKind::workers_full);
  CHECK(held.limit == 1);
}

} // namespace waits_test
