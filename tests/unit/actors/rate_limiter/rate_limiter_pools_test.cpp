// Several endpoints for one model: which is chosen, whose limits hold, and what is forgotten when
// nobody needs it any more.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace rate_limiter_pools_test {

using namespace gristmill;
using namespace gristmill::rate_limiter_test;

namespace {

std::vector<std::uint32_t> chosen(const Granted& granted) {
  std::vector<std::uint32_t> ids;
  for (const auto& permit : granted.permits) ids.push_back(permit.endpoint.value);
  return ids;
}

std::size_t count_of(const std::vector<std::uint32_t>& ids, std::uint32_t id) {
  return static_cast<std::size_t>(std::count(ids.begin(), ids.end(), id));
}

} // namespace

TEST_CASE("equal endpoints are taken in turn, also when each call ends before the next") {
  Bench bench;
  for (std::uint32_t id = 1; id <= 3; ++id) bench.endpoint(id, {});
  bench.job(7, {});
  for (std::uint32_t id = 1; id <= 3; ++id) bench.answered(bench.ask(ids({1})).permits.at(0));
  std::vector<std::uint32_t> turns;
  for (std::uint64_t call = 1; call <= 6; ++call) {
    const auto granted = bench.ask({CallId{call}});
    turns.push_back(chosen(granted).at(0));
    bench.answered(granted.permits[0]);
  }
  CHECK(turns == std::vector<std::uint32_t>{1, 2, 3, 1, 2, 3});
}

TEST_CASE("the endpoint with the largest share of its limits free is taken") {
  Bench bench;
  bench.endpoint(1, {0, 0, 30});
  bench.endpoint(2, {0, 0, 10});
  bench.job(7, {});
  const auto granted = bench.ask(calls(20));
  CHECK(count_of(chosen(granted), 1) == 15);
  CHECK(count_of(chosen(granted), 2) == 5);
  CHECK(bench.ask(calls(21)).permits.size() == 20); // both to their last slot
}

TEST_CASE("what a minute has taken counts as much as the slots") {
  Bench bench;
  bench.endpoint(1, {6'000, 0, 0});
  bench.endpoint(2, {600, 0, 0});
  bench.job(7, {});
  std::size_t first = 0, second = 0;
  for (int second_of = 0; second_of < 20; ++second_of) {
    for (std::uint64_t call = 1; call <= 20; ++call) {
      const auto granted = bench.ask({CallId{call}});
      first += count_of(chosen(granted), 1);
      second += count_of(chosen(granted), 2);
      bench.answered(granted.permits.at(0));
    }
    bench.now += 1s;
  }
  CHECK(first >= 9 * second);
  CHECK(second >= first / 12);
}

TEST_CASE("a model's calls go to the endpoints of that model, and others do not wait with them") {
  Bench bench;
  bench.offer({EndpointId{1}, "a", endpoint_at("http://a"), {}});
  bench.offer({EndpointId{2}, "b", endpoint_at("http://b"), {}});
  bench.limiter.job_opened({JobId{7}, {}, {}}, bench.now);
  const auto ask = [&] {
    Acquire acquire = bench.question(calls(5));
    acquire.calls[0].model = "c";
    acquire.calls[1].model = "a";
    acquire.calls[2].model = "b";
    acquire.calls[3].model = "c";
    return bench.limiter.acquire(acquire, bench.now);
  };
  ask();
  bench.write_blocks();
  const Granted granted = ask();
  CHECK(chosen(granted) == std::vector<std::uint32_t>{1, 2});
  REQUIRE(granted.waits.size() == 2);
  CHECK(granted.waits[0].calls == ids({1, 4}));
  CHECK(granted.waits[0].reason.because == "no endpoint serves the model \"c\"; served: a, b");
  CHECK(granted.waits[1].calls == ids({5}));
  CHECK(granted.waits[1].reason.because == "the item names no model and several are served: a, b");
}

TEST_CASE("the only model that is served is for those who name none") {
  Bench bench;
  bench.offer({EndpointId{1}, "a", endpoint_at("http://a"), {}});
  bench.offer({EndpointId{2}, "a", endpoint_at("http://b"), {}});
  bench.limiter.job_opened({JobId{7}, {}, {}}, bench.now);
  CHECK(bench.goes(1));
  bench.offer({EndpointId{3}, "b", endpoint_at("http://c"), {}});
  CHECK_FALSE(bench.goes(2));
  bench.limiter.endpoint_gone(EndpointId{3}, bench.now);
  CHECK(bench.goes(2));
}

TEST_CASE("of the limits that are given for one URL and key the strictest hold") {
  Bench bench;
  const auto slots = [&](std::uint32_t id, std::uint32_t most) {
    bench.offer({EndpointId{id}, "m", endpoint_at("http://a", {0, 0, most}), {}});
  };
  slots(1, 3);
  bench.job(7, {});
  slots(2, 2);
  CHECK(bench.ask(calls(4)).permits.size() == 2);
  CHECK(bench.limiter.standing(EndpointId{1}, bench.now).limits.max_in_flight == 2);
  bench.limiter.endpoint_gone(EndpointId{2}, bench.now);
  CHECK(bench.limiter.standing(EndpointId{1}, bench.now).limits.max_in_flight == 3);
  CHECK(bench.goes(5));
  CHECK_FALSE(bench.goes(6));
}

TEST_CASE("a limit that comes later counts what went before it") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  for (const auto& permit : bench.ask(calls(9)).permits) bench.answered(permit);
  const std::string url = "http://host-1/v1";
  bench.offer({EndpointId{2}, "m", endpoint_at(url, {10, 0, 0}), SessionId{}});
  bench.now += 30s; // the smoother has saved up
  CHECK(bench.goes(10));
  bench.now += 29s;
  CHECK(bench.wait_reason(11) == "requests per minute");
  bench.now += 3s;
  CHECK(bench.goes(11));
}

TEST_CASE("an account goes when nobody names it and nothing of it counts any more") {
  Bench bench;
  bench.endpoint(1, {60, 0, 0});
  bench.job(7, {});
  const auto permit = bench.ask(ids({1})).permits.at(0);
  CHECK(bench.limiter.account_count() == 2);
  bench.limiter.job_closed(JobId{7});
  bench.limiter.endpoint_gone(EndpointId{1}, bench.now);
  bench.now += 2min;
  bench.limiter.reserve(bench.now);
  CHECK(bench.limiter.account_count() == 2); // the call is still under way
  bench.answered(permit);
  bench.now += 2s;
  bench.limiter.reserve(bench.now);
  CHECK(bench.limiter.account_count() == 0);
}

TEST_CASE("an account stays while a minute remembers it or its server wants to be left alone") {
  const bool parked = GENERATE(false, true);
  CAPTURE(parked);
  Bench bench;
  bench.endpoint(1, {60, 0, 0});
  bench.job(7, {});
  const auto permit = bench.ask(ids({1})).permits.at(0);
  bench.answered(permit, parked ? OutcomeClass::rate : OutcomeClass::ok, parked ? 90'000 : -1);
  bench.limiter.job_closed(JobId{7});
  bench.limiter.endpoint_gone(EndpointId{1}, bench.now);
  bench.now += parked ? 80s : 50s;
  bench.limiter.reserve(bench.now);
  CHECK(bench.limiter.account_count() > 0);
  bench.now += 15s;
  bench.limiter.reserve(bench.now);
  CHECK(bench.limiter.account_count() == 0);
}

TEST_CASE("an endpoint's standing says how much it does and why it does nothing") {
  Bench bench;
  bench.endpoint(1, {0, 0, 5});
  bench.job(7, {});
  const auto permits = bench.ask(calls(2)).permits;
  auto standing = bench.limiter.standing(EndpointId{1}, bench.now);
  CHECK(standing.in_flight == 2);
  CHECK(standing.limits.max_in_flight == 5);
  CHECK(standing.parked_ms == 0);
  bench.answered(permits.at(0), OutcomeClass::quota);
  standing = bench.limiter.standing(EndpointId{1}, bench.now);
  CHECK(standing.parked_ms == 5'000);
  CHECK(standing.why == info(WaitKind::quota).words);
  bench.now += 60s;
  CHECK(bench.limiter.standing(EndpointId{1}, bench.now).why.empty());
}

TEST_CASE("an endpoint that refused a job is passed over for a while, if there is another") {
  Bench bench;
  bench.endpoint(1, {});
  bench.endpoint(2, {});
  bench.job(7, {});
  const auto first = bench.ask(ids({1})).permits.at(0);
  bench.answered(first, OutcomeClass::config);
  const std::uint32_t other = first.endpoint.value == 1 ? 2 : 1;
  CHECK(count_of(chosen(bench.ask(calls(20))), other) == 20);
  bench.now += 10s;
  CHECK(count_of(chosen(bench.ask({CallId{21}, CallId{22}})), first.endpoint.value) > 0);
}

TEST_CASE("the only endpoint is asked again a second after it refused") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  const auto first = bench.ask(ids({1})).permits.at(0);
  bench.answered(first, OutcomeClass::config);
  bench.now += 1s - 1ns;
  CHECK_FALSE(bench.goes(2));
  bench.now += 1ns;
  CHECK(chosen(bench.ask(ids({2}))) == std::vector<std::uint32_t>{1});
}

TEST_CASE("what a server says of its queue is heard by its account, and shown while it is fresh") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  CHECK(bench.ask(calls(200)).permits.size() == 32);
  const auto told = [&](std::uint32_t id) {
    bench.limiter.queue_told({EndpointId{id}, 24, 8}, bench.now);
    bench.now += 1s;
    bench.limiter.queue_told({EndpointId{id}, 24, 8}, bench.now);
    return bench.limiter.standing(EndpointId{1}, bench.now);
  };
  CHECK(told(2).slots == 32); // of an endpoint that there is not
  CHECK_FALSE(told(2).queue);
  const EndpointStanding standing = told(1);
  CHECK(standing.slots == 9);
  CHECK(standing.queue == protocol::QueueReport{EndpointId{1}, 24, 8});
  CHECK_FALSE(bench.limiter.standing(EndpointId{1}, bench.now + 3s).queue);
}

} // namespace rate_limiter_pools_test
