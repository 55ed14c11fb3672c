// Which endpoint of several gets a call: by headroom and speed, by where the call has failed, and
// by where calls that begin like it have been.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace endpoint_choice_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

struct Pool : Bench {
  explicit Pool(std::uint32_t endpoints, RateLimits limits = {0, 0, 32}) {
    for (std::uint32_t id = 1; id <= endpoints; ++id) endpoint(id, limits);
    job(7, {});
  }
  Granted ask_for(AcquireCall call) {
    Acquire acquire{session, nonce, {std::move(call)}};
    acquire.calls[0].job = JobId{7};
    acquire.calls[0].item = acquire.calls[0].call.value;
    Granted granted = limiter.acquire(acquire, now);
    if (!granted.permits.empty() || granted.waits.front().prefix != 0) return granted;
    write_blocks();
    return limiter.acquire(acquire, now);
  }
  protocol::Permit take(AcquireCall call) { return ask_for(std::move(call)).permits.at(0); }
  AcquireCall call(std::uint64_t prefix = 0, std::vector<EndpointId> failed_at = {}) {
    AcquireCall call;
    call.call = CallId{++calls_};
    call.token_bound = 1;
    call.failed_at = std::move(failed_at);
    call.prefix = prefix;
    return call;
  }
  void answer(const protocol::Permit& permit, Duration latency,
              OutcomeClass cls = OutcomeClass::ok) {
    limiter.ended({Ended::How::answered, permit.attempt, cls, {}, -1, latency}, now);
  }
  // Each endpoint has answered once, in so many milliseconds.
  void learn(std::vector<int> ms) {
    std::vector<protocol::Permit> permits;
    for (std::size_t i = 0; i < ms.size(); ++i) permits.push_back(take(call()));
    for (const auto& permit : permits)
      answer(permit, std::chrono::milliseconds{ms[permit.endpoint.value - 1]});
  }
  std::map<std::uint32_t, int> fill(int count, std::uint64_t prefix = 0) {
    std::map<std::uint32_t, int> chosen;
    for (int n = 0; n < count; ++n) ++chosen[take(call(prefix)).endpoint.value];
    return chosen;
  }

private:
  std::uint64_t calls_ = 0;
};

} // namespace

TEST_CASE("of endpoints with room the faster one gets more, as far as its room goes") {
  Pool pool{2};
  pool.learn({200, 50});
  const auto few = pool.fill(10);
  CHECK(few.at(2) == 8);
  CHECK(few.at(1) == 2);
  CHECK(pool.fill(54) == std::map<std::uint32_t, int>{{1, 30}, {2, 24}}); // all slots of both
}

TEST_CASE("equally fast endpoints of which nobody knows more are filled alike") {
  Pool pool{3};
  CHECK(pool.fill(9) == std::map<std::uint32_t, int>{{1, 3}, {2, 3}, {3, 3}});
}

TEST_CASE("an endpoint that has not answered yet is supposed to be as fast as the fastest") {
  Pool pool{2};
  const auto first = pool.take(pool.call());
  pool.answer(first, 100ms);
  const auto chosen = pool.fill(10);
  CHECK(chosen.at(1) == 5);
  CHECK(chosen.at(2) == 5);
}

TEST_CASE("how slow an endpoint was is forgotten in time") {
  Pool pool{2};
  pool.learn({60'000, 50});
  CHECK(pool.fill(10).count(1) == 0);
  // The faster one fades as well, so their ratio decides no longer than the answers come.
  for (int n = 0; n < 200; ++n) {
    pool.now += 2s;
    pool.answer(pool.take(pool.call()), 50ms);
  }
  CHECK(pool.fill(20).count(1) == 1);
}

TEST_CASE("a call goes to an endpoint at which it has not failed, if one has room") {
  Pool pool{2, {0, 0, 2}};
  pool.learn({50, 200});
  CHECK(pool.take(pool.call(0, {EndpointId{1}})).endpoint == EndpointId{2});
  CHECK(pool.take(pool.call(0, {EndpointId{1}})).endpoint == EndpointId{2});
  CHECK(pool.take(pool.call(0, {EndpointId{1}})).endpoint == EndpointId{1}); // 2 is full
  Pool other{2};
  CHECK(other.take(other.call(0, {EndpointId{1}, EndpointId{2}})).endpoint); // failed at both
}

TEST_CASE("calls that begin alike wait for the first one's answer, and others do not") {
  Pool pool{2};
  const auto first = pool.take(pool.call(9));
  Acquire acquire{
      pool.session, pool.nonce, {pool.call(9), pool.call(0), pool.call(9), pool.call(8)}};
  for (AcquireCall& call : acquire.calls) call.job = JobId{7};
  const Granted granted = pool.limiter.acquire(acquire, pool.now);
  REQUIRE(granted.waits.size() == 1);
  CHECK(granted.waits[0].calls.size() == 2);
  CHECK(granted.waits[0].prefix == 9);
  CHECK(granted.permits.size() == 2);
  pool.answer(first, 100ms);
  CHECK(pool.take(pool.call(9)).endpoint == first.endpoint);
}

TEST_CASE("nobody waits longer for the first one than the priming lasts") {
  Pool pool{1};
  pool.take(pool.call(9));
  pool.now += PrefixGroups::priming_most - 1ns;
  CHECK(pool.ask_for(pool.call(9)).permits.empty());
  pool.now += 1ns;
  CHECK(pool.ask_for(pool.call(9)).permits.size() == 1);
}

TEST_CASE("calls that begin alike stay at one endpoint until half of it is taken") {
  Pool pool{2};
  const auto first = pool.take(pool.call(9));
  pool.answer(first, 100ms);
  const std::uint32_t home = first.endpoint.value, other = 3 - home;
  CHECK(pool.fill(15, 9) == std::map<std::uint32_t, int>{{home, 15}});
  // Then the other one, as long as it is the better place by far, and both from then on.
  const auto more = pool.fill(24, 9);
  CHECK(more.at(other) >= 12);
  CHECK(pool.fill(24, 9).size() == 2); // to the last slots
}

TEST_CASE("calls that had to go elsewhere for a moment come home again") {
  Pool pool{2};
  const auto first = pool.take(pool.call(9));
  pool.answer(first, 100ms);
  std::vector<protocol::Permit> crowd;
  for (int n = 0; n < 40; ++n) crowd.push_back(pool.take(pool.call(9))); // at both
  for (const auto& permit : crowd) pool.answer(permit, 100ms);
  CHECK(pool.fill(15, 9) == std::map<std::uint32_t, int>{{first.endpoint.value, 15}});
}

TEST_CASE("groups are shared out over the endpoints") {
  Pool pool{3};
  std::map<std::uint32_t, int> homes;
  for (std::uint64_t prefix = 1; prefix <= 6; ++prefix)
    ++homes[pool.take(pool.call(prefix)).endpoint.value];
  CHECK(homes == std::map<std::uint32_t, int>{{1, 2}, {2, 2}, {3, 2}});
}

TEST_CASE("groups are shared out evenly, whatever is in flight at the moment") {
  Pool pool{3};
  std::map<std::uint32_t, int> homes;
  // The first group's home is left empty again and again.
  for (std::uint64_t prefix = 1; prefix <= 6; ++prefix) {
    const auto first = pool.take(pool.call(prefix));
    ++homes[first.endpoint.value];
    pool.answer(first, 100ms);
    if (prefix == 2 || prefix == 3) pool.fill(6, prefix);
  }
  CHECK(homes == std::map<std::uint32_t, int>{{1, 2}, {2, 2}, {3, 2}});
}

TEST_CASE("an endpoint that is much slower is a new home only when a quick one is half taken") {
  Pool pool{2};
  pool.learn({50, 101});
  std::uint64_t prefix = 0;
  for (; prefix < 15; ++prefix) CHECK(pool.take(pool.call(prefix + 1)).endpoint == EndpointId{1});
  std::map<std::uint32_t, int> homes;
  for (; prefix < 40; ++prefix) ++homes[pool.take(pool.call(prefix + 1)).endpoint.value];
  CHECK(homes.at(2) > 0);
}

TEST_CASE("a call does not go home when home is where it failed") {
  Pool pool{2};
  const auto first = pool.take(pool.call(9));
  pool.answer(first, 100ms);
  CHECK(pool.take(pool.call(9, {first.endpoint})).endpoint != first.endpoint);
}

TEST_CASE("where the first call fails the next one is the first again") {
  Pool pool{1};
  pool.answer(pool.take(pool.call(9)), {}, OutcomeClass::transient);
  const auto again = pool.take(pool.call(9));
  CHECK(pool.ask_for(pool.call(9)).permits.empty());
  pool.unstarted(again);
  pool.take(pool.call(9));
}

TEST_CASE("a pool may do without its calls' prefixes") {
  Bench bench;
  for (std::uint32_t id = 1; id <= 2; ++id)
    bench.offer(
        {EndpointId{id}, "m", endpoint_at(fmt::format("http://host-{}/v1", id)), {}, false});
  bench.job(7, {});
  Acquire acquire = bench.question(calls(4));
  for (AcquireCall& call : acquire.calls) call.prefix = 9;
  bench.limiter.acquire(acquire, bench.now);
  bench.write_blocks();
  const Granted granted = bench.limiter.acquire(acquire, bench.now);
  REQUIRE(granted.permits.size() == 4);
  std::map<std::uint32_t, int> chosen;
  for (const auto& permit : granted.permits) ++chosen[permit.endpoint.value];
  CHECK(chosen == std::map<std::uint32_t, int>{{1, 2}, {2, 2}});
}

TEST_CASE("no more groups are remembered than the most") {
  PrefixGroups groups;
  const Time now = time_from_ns(0) + 1h;
  for (std::uint64_t prefix = 1; prefix <= PrefixGroups::groups_most; ++prefix)
    groups.went(prefix, EndpointId{1}, now);
  CHECK(groups.size() == PrefixGroups::groups_most);
  CHECK(groups.homes(1).size() == 1);
  groups.went(PrefixGroups::groups_most + 1, EndpointId{1}, now);
  CHECK(groups.size() == PrefixGroups::groups_most);
  CHECK(groups.homes(1).empty());
  CHECK(groups.homes(2).size() == 1);
  CHECK(groups.at_home(EndpointId{1}) == PrefixGroups::groups_most);
  for (std::uint32_t id = 1; id <= PrefixGroups::homes_most + 1; ++id)
    groups.went(2, EndpointId{id}, now);
  CHECK(groups.homes(2).size() == PrefixGroups::homes_most);
  CHECK(groups.at_home(EndpointId{1}) == PrefixGroups::groups_most - 1); // it is the second's now
  CHECK(groups.at_home(EndpointId{2}) == 1);
}

TEST_CASE("a group whose only home failed is at home nowhere") {
  PrefixGroups groups;
  groups.went(9, EndpointId{1}, time_from_ns(0));
  CHECK(groups.at_home(EndpointId{1}) == 1);
  groups.ended(9, EndpointId{1}, false);
  CHECK(groups.at_home(EndpointId{1}) == 0);
  CHECK(groups.size() == 0);
}

} // namespace endpoint_choice_test
