// The coordinator's pools: whom their endpoints are told to, which jobs they take, what calls cost.
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"
#include "tests/unit/nano_usd.hpp"

namespace coordinator_pools_test {

using namespace gristmill;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

namespace {

EndpointSpec at(std::string url) {
  EndpointSpec endpoint;
  endpoint.url = std::move(url);
  return endpoint;
}

coordinator::Options options() {
  coordinator::Options options{epoch, "", {}, {}};
  options.pools.resize(2);
  options.pools[0] = {
      "small", "large", {1'000'000, 2'000'000}, 0, {at("http://a"), at("http://b")}};
  options.pools[1] = {"large", "", {}, 0, {at("http://a")}};
  return options;
}

struct Cluster : Bench {
  Cluster() : Bench{options()} {
    model = "small";
    hear(coordinator.started());
  }
};

JobSpec of_model(std::string model) {
  JobSpec spec;
  spec.shape.models = ModelNames::of(std::move(model));
  return spec;
}

Outcome answered_at(EndpointId endpoint) {
  Outcome outcome = outcome_of(1);
  outcome.endpoint = endpoint;
  outcome.usage.known = true;
  outcome.usage.prompt = 10;
  outcome.usage.completion = 3;
  return outcome;
}

} // namespace

TEST_CASE("a pool's endpoints are offered at the start, with ids of their own in each pool") {
  Cluster cluster, again;
  const auto added = cluster.take().endpoints_added;
  REQUIRE(added.size() == 3);
  CHECK(added[0].model == "small");
  CHECK(added[2].model == "large");
  CHECK(added[0].endpoint.url == added[2].endpoint.url);
  CHECK(added[0].id != added[2].id);
  for (const auto& offer : added) CHECK(offer.only == SessionId{});
  // So that a claim of an earlier life means the same.
  const auto later = again.take().endpoints_added;
  for (std::size_t i = 0; i < added.size(); ++i) CHECK(later[i].id == added[i].id);
}

TEST_CASE("a job without endpoints is opened with those of the pools, one with its own with them") {
  Cluster cluster;
  const auto added = cluster.take().endpoints_added;
  JobSpec own = of_model("x");
  own.endpoints = {at("http://own")};
  CHECK(cluster.open_job(7, of_model("small")).empty());
  const auto own_ids = cluster.open_job(8, own);
  Speaker worker;
  cluster.join(worker);
  cluster.offer(1, 1, 7);
  cluster.offer(2, 2, 8);
  const auto opened = cluster.take_messages<JobOpened>(worker);
  REQUIRE(opened.size() == 2);
  REQUIRE(opened[0].endpoints.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(opened[0].endpoints[i].id == added[i].id);
    CHECK(opened[0].endpoints[i].model == added[i].model);
  }
  REQUIRE(opened[1].endpoints.size() == 1);
  CHECK(opened[1].endpoints[0].id == own_ids.at(0));
  CHECK(opened[1].endpoints[0].model.empty());
}

TEST_CASE("the model that a call is planned for is asked for") {
  Cluster cluster;
  cluster.open_job(7, of_model("small"));
  Speaker worker;
  cluster.join(worker);
  OfferedCall call;
  call.planned.call = CallId{1};
  call.planned.parts = {{{JobId{7}, 1, 0}, ItemKind::batch_line, {}}};
  call.planned.model = "large";
  cluster.hear(cluster.coordinator.offered(JobId{7}, {call}, cluster.now));
  cluster.need(worker, ids({1}));
  REQUIRE(cluster.seen.acquires.size() == 1);
  CHECK(cluster.seen.acquires[0].calls.at(0).model == "large");
}

TEST_CASE("a call costs what the pool says that its endpoint is of") {
  Cluster cluster;
  const auto added = cluster.take().endpoints_added;
  JobSpec spec = of_model("small");
  cluster.open_job(7, spec);
  JobSpec own = of_model("small");
  own.endpoints = {at("http://own")};
  const auto own_ids = cluster.open_job(8, own);
  Speaker worker;
  AnnouncedEndpoint announced;
  announced.model = "small";
  announced.endpoint.url = "http://localhost";
  worker.hello.endpoints = {announced};
  const auto welcome = cluster.join(worker);
  std::uint64_t call = 0;
  const auto permitted_at = [&](EndpointId id) {
    ++call;
    cluster.offer(call, call);
    Granted granted{worker.session, Nonce{1}, {}, {}};
    granted.permits.push_back({CallId{call}, Cluster::attempt_of(call), id, 250});
    cluster.hear(cluster.coordinator.granted(granted, cluster.now));
    Outcome outcome = answered_at(id);
    outcome.call = CallId{call};
    outcome.attempt = Cluster::attempt_of(call);
    outcome.parts.front().item = call;
    return outcome;
  };
  const auto cost_of = [&](const Outcome& outcome) {
    cluster.say(worker, Outcomes{{outcome}});
    return cluster.take_news().outcomes.at(0).cost;
  };
  const auto cost_at = [&](EndpointId id) { return cost_of(permitted_at(id)); };
  CHECK(cost_at(added[0].id) == nano_usd(16'000));
  CHECK(cost_at(added[2].id) == nano_usd(0));                  // of a pool without a price
  CHECK(cost_at(welcome.endpoints.at(0)) == nano_usd(16'000)); // announced for a model that has one
  CHECK(cost_at(own_ids.at(0)) == nano_usd(16'000)); // the job asks for a model that has one
  const Outcome told = permitted_at(added[0].id);
  CHECK(cost_of(told) == nano_usd(16'000));
  worker.hello.outbox = {{told.call, told.attempt, told.parts, told.endpoint}};
  cluster.join(worker);
  CHECK(cost_of(told) == nano_usd(0)); // again: it is paid once
}

TEST_CASE("a line that names a model which no pool serves fails without a call, others go") {
  Cluster cluster;
  cluster.open_job(7, JobSpec{});
  Speaker worker;
  cluster.join(worker);
  cluster.take();
  std::vector<OfferedCall> calls(2);
  for (std::uint64_t n = 0; n < 2; ++n) {
    calls[n].planned.call = CallId{n + 1};
    calls[n].planned.parts = {{{JobId{7}, n + 1, 0}, ItemKind::batch_line, {}}};
    calls[n].planned.model = n == 0 ? "tiny" : "large";
  }
  cluster.hear(cluster.coordinator.offered(JobId{7}, std::move(calls), cluster.now));
  const JobNews news = cluster.take_news();
  REQUIRE(news.outcomes.size() == 1);
  const Outcome& outcome = news.outcomes[0].outcome;
  CHECK(outcome.call == CallId{1});
  CHECK_FALSE(outcome.attempt);
  CHECK(outcome.cls == OutcomeClass::bad_line);
  CHECK(outcome.code == "model_not_served");
  CHECK(outcome.message == "no pool serves the model \"tiny\"; served: large, small");
}

TEST_CASE("a job is taken if a pool or a worker serves its model") {
  Cluster cluster;
  CHECK(cluster.coordinator.endpoints().why_refused(of_model("small")).empty());
  CHECK_THAT(cluster.coordinator.endpoints().why_refused(of_model("other")),
             Catch::Contains("large, small"));
  Speaker worker;
  AnnouncedEndpoint announced;
  announced.model = "other";
  announced.endpoint.url = "http://localhost";
  worker.hello.endpoints = {announced};
  cluster.join(worker);
  CHECK(cluster.coordinator.endpoints().why_refused(of_model("other")).empty());
  cluster.say(worker, Goodbye{});
  CHECK_FALSE(cluster.coordinator.endpoints().why_refused(of_model("other")).empty());
  Bench nobody;
  CHECK_THAT(nobody.coordinator.endpoints().why_refused(of_model("small")),
             Catch::Contains("no pool is configured"));
}

TEST_CASE("a job whose model is not served any more says so while it waits") {
  Cluster cluster;
  cluster.open_job(7, of_model("gone"));
  cluster.open_job(8, of_model("small"));
  Speaker worker;
  cluster.join(worker);
  const WaitReason why = cluster.coordinator.why_waiting(JobId{7}, cluster.now);
  CHECK(why.kind == WaitKind::unserved);
  CHECK(why.because == "no pool serves the model \"gone\"; served: large, small");
  CHECK_FALSE(cluster.coordinator.why_waiting(JobId{8}, cluster.now));
}

TEST_CASE("a closed job's own endpoints go with the last job that names them; a pool's stay") {
  Cluster cluster;
  cluster.take();
  JobSpec own = of_model("x");
  own.endpoints = {at("http://own")};
  const auto own_ids = cluster.open_job(7, own);
  cluster.open_job(8, own);
  cluster.open_job(9, of_model("small"));
  cluster.hear(cluster.coordinator.job_closed(JobId{9}, cluster.now));
  cluster.hear(cluster.coordinator.job_closed(JobId{7}, cluster.now));
  CHECK(cluster.seen.endpoints_gone.empty());
  cluster.hear(cluster.coordinator.job_closed(JobId{8}, cluster.now));
  CHECK(cluster.seen.endpoints_gone == own_ids);
}

TEST_CASE("pools are shown with what workers announce") {
  Cluster cluster;
  Speaker worker;
  AnnouncedEndpoint announced;
  announced.endpoint.url = "http://localhost";
  announced.model = "other";
  worker.hello.endpoints = {announced};
  announced.model = "small";
  announced.endpoint.url = "http://localhost:2";
  worker.hello.endpoints.push_back(announced);
  cluster.join(worker);
  const auto pools = cluster.coordinator.endpoints().pools(
      false, cluster.coordinator.sessions().announcers(), cluster.now, 0);
  REQUIRE(pools.size() == 3);
  CHECK(pools[0].model == "large");
  CHECK(pools[1].model == "other");
  CHECK(pools[1].endpoints.at(0).worker == "worker-1");
  CHECK(pools[2].model == "small");
  CHECK(pools[2].fallback == "large");
  REQUIRE(pools[2].endpoints.size() == 3);
  CHECK(pools[2].endpoints[0].url == "http://a");
  CHECK(pools[2].endpoints[0].worker.empty());
  CHECK(pools[2].endpoints[1].url == "http://b");
  CHECK(pools[2].endpoints[2].worker == "worker-1");
}

TEST_CASE("a line of a configured pool waits for the workers that announce its endpoints") {
  PoolSpec announced;
  announced.model = "large";
  Bench bench{coordinator::Options{epoch, "", {}, {announced}}};
  bench.open_job(7, JobSpec{});
  std::vector<OfferedCall> calls(1);
  calls[0].planned.call = CallId{1};
  calls[0].planned.parts = {{{JobId{7}, 1, 0}, ItemKind::batch_line, {}}};
  calls[0].planned.model = "large";
  bench.hear(bench.coordinator.offered(JobId{7}, std::move(calls), bench.now));
  CHECK(bench.take_news().outcomes.empty());
}

TEST_CASE("a call waits for a worker that reaches its model, and is not given to another") {
  Bench bench;
  const auto announcing = [](std::uint64_t process, const std::string& model) {
    Speaker worker{process};
    worker.hello.endpoints = {{model, at("http://" + model)}};
    return worker;
  };
  bench.open_job(7, JobSpec{});
  Speaker other = announcing(1, "other");
  bench.join(other);
  std::vector<OfferedCall> calls(2);
  for (std::uint64_t n = 0; n < 2; ++n) {
    calls[n].planned.call = CallId{n + 1};
    calls[n].planned.parts = {{{JobId{7}, n + 1, 0}, ItemKind::batch_line, {}}};
    calls[n].planned.model = n == 0 ? "small" : "other";
  }
  bench.hear(bench.coordinator.offered(JobId{7}, std::move(calls), bench.now));
  CHECK(bench.take_batch(other) == ids({2}));
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).because ==
        "no pool serves the model \"small\"; served: other");
  Speaker small = announcing(2, "small");
  bench.join(small);
  CHECK(bench.take_batch(small) == ids({1}));
  CHECK_FALSE(bench.coordinator.why_waiting(JobId{7}, bench.now));
}

TEST_CASE("a call without a model goes to the only one that is served") {
  Bench bench;
  bench.open_job(7, JobSpec{});
  Speaker one{1}, two{2};
  one.hello.endpoints = {{"one", at("http://one")}};
  two.hello.endpoints = {{"two", at("http://two")}};
  bench.join(one);
  if (GENERATE(true, false)) {
    bench.offer(1, 1);
    CHECK(bench.take_batch(one) == ids({1}));
    return;
  }
  bench.join(two);
  bench.offer(1, 1);
  CHECK(bench.take_batch(one).empty());
  CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).because ==
        "the item names no model and several are served: one, two");
}

TEST_CASE("what a worker read of an endpoint's queue goes to the limiter") {
  Cluster cluster;
  const auto added = cluster.take().endpoints_added;
  const EndpointId first = added.at(0).id, second = added.at(1).id;
  Speaker worker;
  cluster.join(worker);
  cluster.take();
  Heartbeat beat;
  beat.capacity = worker.hello.capacity;
  beat.queues = {{first, 3, 32}, {EndpointId{5}, 1, 1}, {second, 0, -1}};
  cluster.say(worker, beat);
  // One that is not there says nothing.
  CHECK(cluster.take().queues == std::vector<QueueReport>{{first, 3, 32}, {second, 0, -1}});
  const auto answers = cluster.take_messages<Recorded>(worker);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].pauses == std::vector<ReadPause>{{first, 1'000}, {second, 1'000}});
}

TEST_CASE("calls that wait for an endpoint which is away are made at another worker's") {
  Bench bench;
  bench.open_job(7, of_model("small"));
  Speaker a{1}, b{2};
  const auto announce = [&](Speaker& worker, const std::string& url, const std::string& model) {
    AnnouncedEndpoint announced;
    announced.model = model;
    announced.endpoint.url = url;
    worker.hello.endpoints.push_back(announced);
  };
  announce(a, "http://a", "small");
  bench.join(a);
  for (std::uint64_t call = 1; call <= 3; ++call) bench.offer(call, call);
  REQUIRE(bench.take_batch(a) == ids({1, 2, 3}));
  bench.take();
  Waiting waiting{ids({1, 2, 3}), JobId{7}, 300, "the endpoint fails"};
  const auto told_to_wait = [&](WaitKind kind, Time until = never) {
    waiting.reason.kind = kind;
    waiting.reason.until = until;
    bench.hear(bench.coordinator.granted({a.session, Nonce{1}, {}, {waiting}}, bench.now));
    return bench.take_messages<Cancel>(a).size();
  };
  CHECK(told_to_wait(WaitKind::breaker) == 0); // nobody else could
  SECTION("only others of another endpoint, and of the same model") {
    announce(b, "http://b", "other");
    bench.join(b);
    CHECK(told_to_wait(WaitKind::breaker) == 0);
  }
  SECTION("as soon as somebody else could") {
    announce(b, "http://b", "small");
    bench.join(b);
    CHECK(told_to_wait(WaitKind::requests) == 0); // it is only busy
    CHECK(told_to_wait(WaitKind::cooldown, bench.now + defaults::shared_elsewhere_least - 1ms) ==
          0);
    const auto kind = GENERATE(WaitKind::breaker, WaitKind::cooldown, WaitKind::quota);
    CHECK(told_to_wait(kind, bench.now + defaults::shared_elsewhere_least) == 1);
    CHECK(bench.take_news().returned.size() == 3);
    // The other is served first; this one gets one call, which finds out.
    for (std::uint64_t call = 4; call <= 20; ++call) bench.offer(call, call);
    CHECK(bench.take_batch(b).size() >= 4);
    const auto probe = bench.take_batch(a);
    REQUIRE(probe.size() == 1);
    CHECK(told_to_wait(kind, bench.now + 1h) == 0);
    bench.grant(a, probe);
    Outcome failed = outcome_of(probe[0].value);
    failed.cls = OutcomeClass::transient;
    bench.say(a, Outcomes{{failed}});
    const auto next = bench.take_batch(a);
    REQUIRE(next.size() == 1);
    bench.say(b, Goodbye{}); // then it is still one that takes calls
    CHECK(bench.coordinator.why_waiting(JobId{7}, bench.now).kind != WaitKind::no_worker);
    // Whatever it makes of an item, it is there again.
    bench.grant(a, next);
    Outcome refused = outcome_of(next[0].value);
    refused.cls = OutcomeClass::bad_line;
    refused.http_status = 400;
    bench.say(a, Outcomes{{refused}});
    bench.offer(21, 40);
    CHECK(bench.take_batch(a).size() > 1);
  }
}

TEST_CASE("what a worker read of the queue of a job's own endpoint goes there, too") {
  Bench bench;
  bench.open_job(7, with_endpoint());
  const EndpointId own = bench.take().endpoints_added.at(0).id;
  Speaker worker;
  bench.join(worker);
  Heartbeat beat;
  beat.capacity = worker.hello.capacity;
  beat.queues = {{own, 3, 32}};
  bench.say(worker, beat);
  CHECK(bench.take().queues == beat.queues);
  bench.hear(bench.coordinator.job_closed(JobId{7}, bench.now));
  bench.say(worker, beat);
  CHECK(bench.take().queues.empty());
}

} // namespace coordinator_pools_test
