// What COORDINATOR says of money: what calls have cost, what lost ones may have cost, and whether
// everybody of the lives before has told of his calls.
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"
#include "tests/unit/nano_usd.hpp"

namespace coordinator_money_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;
using namespace gristmill::protocol;

namespace {

Options priced(std::vector<journal::SessionNote> expected = {}) {
  Options options{epoch, "", std::move(expected), {}};
  PoolSpec pool;
  pool.model = "m";
  pool.price = {1'000'000, 2'000'000};
  options.pools = {pool};
  return options;
}

JobSpec within_a_budget() {
  JobSpec spec;
  spec.shape.models = {"m"};
  spec.endpoints.emplace_back().url = "http://own"; // that every worker reaches
  spec.limits.budget = nano_usd(1'000'000'000);
  return spec;
}

struct Money : Bench {
  explicit Money(Options options = priced()) : Bench{std::move(options)} {}
  // A worker with so many calls in flight, each of which may cost so much.
  void fly(Speaker& worker, std::uint64_t calls, Usd most = nano_usd(500)) {
    open_job(7, within_a_budget());
    join(worker);
    offer(1, calls);
    Granted granted{worker.session, Nonce{1}, {}, {}};
    for (std::uint64_t call = 1; call <= calls; ++call) {
      granted.permits.push_back({CallId{call}, attempt_of(call), EndpointId{1}, 250});
      granted.notes.push_back({most});
    }
    hear(coordinator.granted(granted, now));
  }
};

} // namespace

TEST_CASE("an answer costs its tokens, one that says nothing of them the most", "[money]") {
  Money bench;
  Speaker worker;
  bench.fly(worker, 2, nano_usd(200'000));
  Outcome told = outcome_of(1);
  told.usage = {true, 100, 10, 0, 0};
  bench.say(worker, Outcomes{{told, outcome_of(2)}});
  REQUIRE(bench.seen.ended.size() == 2);
  CHECK(bench.seen.ended[0].cost == nano_usd(120'000));
  CHECK(bench.seen.ended[1].cost == nano_usd(200'000));
  const auto news = bench.take_news();
  CHECK(news.outcomes[0].cost == nano_usd(120'000));
  CHECK(news.outcomes[1].cost == nano_usd(200'000));
}

TEST_CASE("what a lost worker's calls may have cost is journalled with the end of its session",
          "[money]") {
  Money bench;
  Speaker worker;
  bench.fly(worker, 2);
  bench.offer(3, 3); // held without a permit: it costs nothing
  bench.hear(bench.coordinator.peer_gone(worker.peer, bench.now));
  bench.seen = {};
  bench.tick_at(bench.now + 6s);
  REQUIRE(bench.seen.sessions.size() == 1);
  CHECK_FALSE(bench.seen.sessions[0].open);
  CHECK(bench.seen.charged == std::map<JobId, Usd>{{JobId{7}, nano_usd(1'000)}});
  CHECK(bench.take_news().charged == nano_usd(1'000));
}

TEST_CASE("calls in flight of a job that is closed keep what they may cost", "[money]") {
  Money bench;
  Speaker worker;
  bench.fly(worker, 3);
  bench.seen = {};
  bench.hear(bench.coordinator.job_closed(JobId{7}, bench.now));
  CHECK(bench.seen.charged == std::map<JobId, Usd>{{JobId{7}, nano_usd(1'500)}});
}

TEST_CASE("all of earlier lives have told when each of their processes has said Hello", "[money]") {
  const bool all = GENERATE(true, false);
  std::vector<journal::SessionNote> open{{SessionId{11}, "worker-1", Nonce{1}, true}};
  if (!all) open.push_back({SessionId{12}, "worker-2", Nonce{2}, true});
  Money bench{priced(open)};
  bench.open_job(7, within_a_budget());
  Speaker worker;
  worker.hello.process = Nonce{1};
  worker.hello.in_flight = {claim_of(1)};
  bench.join(worker);
  bench.tick_at(bench.now + 1ms);
  CHECK(bench.seen.earlier_lives_told.has_value() == all);
  bench.tick_at(bench.now + 5s);
  CHECK(bench.seen.earlier_lives_told == all);
}

} // namespace coordinator_money_test
