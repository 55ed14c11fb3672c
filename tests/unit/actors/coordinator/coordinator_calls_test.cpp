// A call's way: offered, sent, asked for, permitted, answered.
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

#include <set>

namespace coordinator_calls_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

namespace {

// A bench with one job and one worker that has these calls.
struct Busy : Bench {
  Speaker worker;
  explicit Busy(std::uint64_t calls) {
    open_job();
    join(worker);
    offer(1, calls);
    held = take_batch(worker);
    take();
  }
  std::vector<CallId> held;
};

} // namespace

TEST_CASE("a job is opened at a worker once, before its first batch") {
  Bench bench;
  JobSpec spec;
  spec.shape.prompt = "Say {{text}}";
  EndpointSpec endpoint;
  endpoint.url = "http://host";
  spec.endpoints = {endpoint};
  const auto endpoints = bench.open_job(7, spec);
  Speaker worker;
  bench.join(worker);
  bench.frames.clear();
  for (std::uint64_t call = 1; call <= 3; ++call) bench.offer(call, call);
  REQUIRE(bench.frames.size() == 4);
  const auto* opened = std::get_if<JobOpened>(&bench.frames[0].second.messages[0]);
  REQUIRE(opened);
  CHECK(opened->job == JobId{7});
  CHECK(opened->spec == json_for_workers(spec));
  REQUIRE(opened->endpoints.size() == 1);
  CHECK(opened->endpoints[0].id == endpoints.at(0));
  CHECK(opened->endpoints[0].endpoint == endpoint);
  CHECK(bench.take_batch(worker) == ids({1, 2, 3}));
}

TEST_CASE("no batch has more calls than the job allows, and each as many as it may") {
  JobSpec spec = with_endpoint();
  spec.policy.batch_size = 4;
  Bench bench;
  bench.open_job(7, spec);
  Speaker worker{1, 64};
  bench.join(worker);
  bench.offer(1, 20);
  std::vector<std::size_t> sizes;
  for (const auto& batch : bench.take_messages<Batch>(worker)) sizes.push_back(batch.calls.size());
  REQUIRE(sizes.size() >= 2);
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) CHECK(sizes[i] == 4);
  CHECK(sizes.back() <= 4);
}

TEST_CASE("a worker gets no more calls than its capacity and its share ahead") {
  Bench bench;
  bench.open_job();
  Speaker worker{1, 8};
  bench.join(worker);
  bench.offer(1, 200);
  const auto held = bench.take_batch(worker);
  CHECK(held.size() == 8 + 8 / 4);
  for (int i = 0; i < 20; ++i) bench.tick_at(bench.now + 100ms);
  CHECK(bench.take_batch(worker).empty());
  // An answer makes room, whether a permit was there or not.
  bench.grant(worker, ids({1, 2}));
  CHECK(bench.take_batch(worker).empty());
  bench.say(worker, Outcomes{{outcome_of(1), outcome_of(2)}});
  CHECK(bench.take_batch(worker).size() == 2);
}

TEST_CASE("bytes bound what a worker holds, but one call goes to whoever has none") {
  Bench bench;
  bench.open_job();
  Speaker worker{1, 100};
  worker.hello.capacity.bytes = 10'000;
  bench.join(worker);
  bench.offer(1, 50, 7, 1'000 - 128);
  CHECK(bench.take_batch(worker).size() == 10);
  Speaker other{2, 100};
  other.hello.capacity.bytes = 10;
  bench.join(other);
  CHECK(bench.take_batch(other).size() == 1);
}

TEST_CASE("the emptiest worker is served first and nobody takes the last calls alone") {
  Bench bench;
  bench.open_job();
  Speaker first{1, 100}, second{2, 100};
  bench.join(first);
  bench.join(second);
  bench.offer(1, 60);
  bench.offer(61, 300);
  const auto some = bench.take_batch(first).size(), others = bench.take_batch(second).size();
  CHECK(some >= 100);
  CHECK(others >= 100);
  CHECK(some + others <= 250);
}

TEST_CASE("a batch has as many calls and bytes as a frame should, and no call is sent twice") {
  Bench bench;
  bench.open_job();
  Speaker worker{1, 2'000};
  bench.join(worker);
  const std::size_t bytes = GENERATE(10, 50'000, 2'000'000);
  bench.offer(1, bytes > 1'000'000 ? 20 : 600, 7, bytes);
  std::set<CallId> seen;
  std::size_t calls = 0;
  for (const auto& batch : bench.take_messages<Batch>(worker)) {
    std::size_t sum = 0;
    for (const auto& call : batch.calls) {
      sum += call.bytes();
      seen.insert(call.call);
    }
    calls += batch.calls.size();
    CHECK(batch.calls.size() <= limits::batch_calls_max);
    CHECK((sum <= limits::frame_target_bytes || batch.calls.size() == 1));
  }
  CHECK(calls > 0);
  CHECK(seen.size() == calls);
}

TEST_CASE("jobs take turns") {
  Bench bench;
  bench.open_job(7);
  bench.open_job(8);
  bench.offer(1, 100, 7);
  bench.offer(101, 110, 8);
  Speaker worker{1, 16};
  bench.join(worker);
  std::size_t of_second = 0;
  for (const CallId call : bench.take_batch(worker)) of_second += call.value > 100;
  CHECK(of_second == 10);
}

TEST_CASE("a Need asks the limiter for the calls that are held and without a permit") {
  Busy bench{4};
  bench.grant(bench.worker, ids({2}));
  bench.need(bench.worker, ids({1, 2, 3, 99}));
  REQUIRE(bench.seen.acquires.size() == 1);
  const Acquire& acquire = bench.seen.acquires[0];
  CHECK(acquire.session == bench.worker.session);
  CHECK(acquire.nonce == Nonce{1});
  REQUIRE(acquire.calls.size() == 2);
  CHECK(acquire.calls[0].call == CallId{1});
  CHECK(acquire.calls[0].item == 1);
  CHECK(acquire.calls[0].token_bound == 10);
  CHECK(acquire.calls[1].call == CallId{3});
  bench.need(bench.worker, ids({2, 99}));
  CHECK(bench.seen.acquires.size() == 1);
}

TEST_CASE("the last calls of a Need may be asked for ahead; refused they are told to ask later") {
  const auto [ahead, first_ahead] =
      GENERATE(table<std::uint32_t, std::size_t>({{0, 3}, {1, 2}, {3, 0}, {4, 0}}));
  CAPTURE(ahead);
  Busy bench{3};
  bench.say(bench.worker, Need{Nonce{1}, ids({1, 2, 3}), ahead});
  REQUIRE(bench.seen.acquires.size() == 1);
  const Acquire& acquire = bench.seen.acquires[0];
  for (std::size_t n = 0; n < 3; ++n) CHECK(acquire.calls[n].ahead == (n >= first_ahead));
  Granted granted{bench.worker.session, Nonce{1}, {}, {}};
  granted.not_ahead = ids({3});
  bench.hear(bench.coordinator.granted(granted, bench.now));
  const auto waits = bench.take_messages<Wait>(bench.worker);
  REQUIRE(waits.size() == 1);
  CHECK(waits[0] == Wait{Nonce{1}, ids({3}), 250});
}

TEST_CASE("permits go to their worker; those of calls that are gone come back as never started") {
  Busy bench{2};
  bench.grant(bench.worker, ids({1}));
  bench.grant(bench.worker, ids({99, 2}));
  const auto permits = bench.take_messages<Permits>(bench.worker);
  REQUIRE(permits.size() == 2);
  REQUIRE(permits[1].permits.size() == 1);
  CHECK(permits[1].permits[0] == Permit{CallId{2}, Bench::attempt_of(2), EndpointId{1}, 250});
  REQUIRE(bench.seen.ended.size() == 1);
  CHECK(bench.seen.ended[0].how == Ended::How::unstarted);
  CHECK(bench.seen.ended[0].attempt == Bench::attempt_of(99));
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 2);
}

TEST_CASE("permits for a worker whose connection or session is gone come back as never started") {
  const bool lost = GENERATE(false, true);
  CAPTURE(lost);
  Busy bench{1};
  bench.hear(bench.coordinator.peer_gone(bench.worker.peer, bench.now));
  if (lost) bench.tick_at(bench.now + defaults::closed_lost);
  bench.take();
  bench.grant(bench.worker, ids({1}));
  REQUIRE(bench.seen.ended.size() == 1);
  CHECK(bench.seen.ended[0].how == Ended::How::unstarted);
  CHECK(bench.take_messages<Permits>(bench.worker).empty());
}

TEST_CASE("an outcome frees its slot and goes to its job with its endpoint's URL") {
  Bench bench;
  JobSpec spec;
  spec.endpoints.resize(1);
  spec.endpoints[0].url = "http://host";
  const auto endpoints = bench.open_job(7, spec);
  Speaker worker;
  bench.join(worker);
  bench.offer(1, 1);
  const Permit permit{CallId{1}, Bench::attempt_of(1), endpoints.at(0), 250};
  bench.hear(bench.coordinator.granted({worker.session, Nonce{1}, {permit}, {}}, bench.now));
  auto outcome = outcome_of(1);
  outcome.endpoint = endpoints.at(0);
  outcome.retry_after_ms = 700;
  outcome.tokens_refused = true;
  outcome.cls = OutcomeClass::rate;
  bench.say(worker, Outcomes{{outcome}});
  const auto news = bench.take_news();
  REQUIRE(news.outcomes.size() == 1);
  CHECK(news.outcomes[0].session == worker.session);
  CHECK(news.outcomes[0].outcome == outcome);
  CHECK(news.outcomes[0].endpoint == "http://host");
  REQUIRE(bench.seen.ended.size() == 1);
  CHECK(bench.seen.ended[0].how == Ended::How::answered);
  CHECK(bench.seen.ended[0].retry_after_ms == 700);
  CHECK(bench.seen.ended[0].tokens_refused);
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 0);
  CHECK(bench.take_messages<Recorded>(worker).empty());
}

TEST_CASE("outcomes are recorded when they are durable, those of no job at once") {
  Busy bench{1};
  bench.open_job(9);
  bench.offer(50, 50, 9);
  bench.grant(bench.worker, ids({50}));
  bench.hear(bench.coordinator.job_closed(JobId{9}, bench.now));
  bench.frames.clear();
  bench.say(bench.worker, Outcomes{{outcome_of(50, 9)}});
  auto recorded = bench.take_messages<Recorded>(bench.worker);
  REQUIRE(recorded.size() == 1);
  CHECK(recorded[0].attempts == std::vector<AttemptId>{Bench::attempt_of(50)});
  bench.hear(bench.coordinator.recorded(bench.worker.session, {Bench::attempt_of(1)}, bench.now));
  recorded = bench.take_messages<Recorded>(bench.worker);
  REQUIRE(recorded.size() == 1);
  CHECK(recorded[0].attempts == std::vector<AttemptId>{Bench::attempt_of(1)});
}

TEST_CASE("a call that exceeds every limit leaves its worker, and its job hears why") {
  Busy bench{3};
  bench.grant(bench.worker, ids({1}));
  Granted granted{bench.worker.session, Nonce{1}, {}, {}, {}};
  // One that is permitted meanwhile, and one that nobody knows, are passed over.
  for (const CallId call : ids({1, 2, 99})) granted.exceeding.push_back({call, "too large"});
  bench.take();
  bench.hear(bench.coordinator.granted(granted, bench.now));
  const auto news = bench.take_news();
  REQUIRE(news.returned.size() == 1);
  CHECK(news.returned[0].call == CallId{2});
  CHECK(news.returned[0].exceeds == "too large");
  const auto cancels = bench.take_messages<Cancel>(bench.worker);
  REQUIRE(cancels.size() == 1);
  CHECK(cancels[0].calls == ids({2}));
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 1);
}

TEST_CASE("what a worker returns is unpermitted or goes back to its job") {
  const bool keeps = GENERATE(false, true);
  CAPTURE(keeps);
  Busy bench{2};
  bench.grant(bench.worker, ids({1}));
  bench.say(
      bench.worker,
      Returned{{{CallId{1}, Bench::attempt_of(1)}, {CallId{2}, {}}, {CallId{99}, {}}}, keeps});
  REQUIRE(bench.seen.ended.size() == 1);
  CHECK(bench.seen.ended[0].how == Ended::How::unstarted);
  const auto returned = bench.take_news().returned;
  CHECK(returned.size() == (keeps ? 0 : 2));
  bench.need(bench.worker, ids({1, 2}));
  CHECK(bench.seen.acquires.size() == (keeps ? 1 : 0));
}

TEST_CASE("a permit that was returned under another attempt's name stays") {
  Busy bench{1};
  bench.grant(bench.worker, ids({1}));
  bench.say(bench.worker, Returned{{{CallId{1}, Bench::attempt_of(77)}}, true});
  CHECK(bench.seen.ended.empty());
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 1);
}

TEST_CASE("withdrawn calls are cancelled at their worker; only held ones are gone at once") {
  Busy bench{3};
  bench.grant(bench.worker, ids({1}));
  bench.hear(bench.coordinator.withdrawn(JobId{7}, ids({1, 2, 99}), bench.now));
  const auto cancels = bench.take_messages<Cancel>(bench.worker);
  REQUIRE(cancels.size() == 1);
  CHECK(cancels[0].calls == ids({1, 2}));
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 1);
  CHECK(bench.coordinator.sessions().workers().at(0).held == 1);
}

TEST_CASE("a withdrawn call whose permit was not used is not made later") {
  Busy bench{2};
  bench.grant(bench.worker, ids({1}));
  SECTION("the permit got lost with the connection, and the cancel too") {
    bench.hear(bench.coordinator.peer_gone(bench.worker.peer, bench.now));
    bench.hear(bench.coordinator.withdrawn(JobId{7}, ids({1}), bench.now));
    bench.worker.hello.held = ids({1, 2});
    CHECK(bench.join(bench.worker).keep_held == ids({2}));
  }
  SECTION("the permit came too late, and crossed the cancel") {
    bench.hear(bench.coordinator.withdrawn(JobId{7}, ids({1}), bench.now));
    bench.take_messages<Cancel>(bench.worker);
    bench.say(bench.worker, Returned{{{CallId{1}, Bench::attempt_of(1)}}, true});
    REQUIRE(bench.take_messages<Cancel>(bench.worker).size() == 1);
  }
  CHECK(bench.seen.ended.size() == 1);
  CHECK(bench.coordinator.sessions().in_flight(JobId{7}) == 0);
  bench.take();
  bench.need(bench.worker, ids({1, 2}));
  REQUIRE(bench.seen.acquires.size() == 1);
  CHECK(bench.seen.acquires[0].calls.size() == 1);
}

TEST_CASE("a withdrawn call that no worker has leaves the queue") {
  Bench bench;
  bench.open_job();
  bench.offer(1, 3);
  bench.hear(bench.coordinator.withdrawn(JobId{7}, ids({2}), bench.now));
  Speaker worker;
  bench.join(worker);
  CHECK(bench.take_batch(worker) == ids({1, 3}));
}

} // namespace coordinator_calls_test
