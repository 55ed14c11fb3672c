// Whose turn it is: by priority, by weight, and without credit for idle times.
#include "actors/coordinator/dispatch/urgency.hpp"
#include "actors/kit/fair_share.hpp"
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

namespace fair_share_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::coordinator_test;

namespace {

// The jobs of the next turns among those that have work, as digits.
std::string turns(FairShare& share, const std::string& jobs, int count, double cost = 1) {
  std::string order;
  while (count-- > 0) {
    const char next = *std::min_element(jobs.begin(), jobs.end(), [&](char a, char b) {
      return share.place(JobId{static_cast<std::uint32_t>(a - '0')}) <
             share.place(JobId{static_cast<std::uint32_t>(b - '0')});
    });
    share.served(JobId{static_cast<std::uint32_t>(next - '0')}, cost);
    order += next;
  }
  return order;
}
auto count(const std::string& order, char job) {
  return std::count(order.begin(), order.end(), job);
}

} // namespace

TEST_CASE("jobs are served in proportion to their weights") {
  FairShare share;
  share.set(JobId{1}, {1, 50});
  share.set(JobId{2}, {3, 50});
  for (int round = 0; round < 10; ++round) {
    const std::string order = turns(share, "12", 4);
    CHECK(count(order, '2') == 3);
  }
}

TEST_CASE("cost counts, not calls") {
  FairShare share;
  share.set(JobId{1}, {1, 50});
  share.set(JobId{2}, {1, 50});
  int large = 0, small = 0;
  for (int n = 0; n < 400; ++n) {
    const bool first = share.place(JobId{1}) < share.place(JobId{2});
    share.served(JobId{first ? 1u : 2u}, first ? 4 : 1);
    ++(first ? large : small);
  }
  CHECK(small == Approx(4 * large).epsilon(0.05));
}

TEST_CASE("a higher priority goes first, whatever the weights") {
  FairShare share;
  share.set(JobId{1}, {1'000, 50});
  share.set(JobId{2}, {1, 51});
  CHECK(turns(share, "12", 5) == "22222");
  CHECK(turns(share, "1", 3) == "111"); // the other one has nothing to do
  CHECK(turns(share, "12", 2) == "22");
}

TEST_CASE("a newcomer and who comes back are owed nothing") {
  FairShare share;
  share.set(JobId{1}, {1, 50});
  share.set(JobId{2}, {1, 50});
  turns(share, "1", 1'000);
  CHECK(count(turns(share, "12", 10), '2') <= 6);
  share.set(JobId{3}, {1, 50});
  CHECK(count(turns(share, "123", 30), '3') <= 11);
  // Others of another priority have moved on meanwhile: that is nobody's debt.
  share.set(JobId{4}, {1, 90});
  turns(share, "4", 1'000);
  share.set(JobId{5}, {1, 50});
  CHECK(count(turns(share, "1235", 40), '5') <= 11);
}

TEST_CASE("what is owed at most is what was agreed") {
  FairShare share{5};
  share.set(JobId{1}, {1, 50});
  share.set(JobId{2}, {1, 50});
  turns(share, "1", 100);
  const std::string order = turns(share, "12", 20);
  CHECK(order.substr(0, 5) == "22222");
  CHECK(count(order, '2') <= 13);
}

TEST_CASE("another priority and back brings neither credit nor debt") {
  FairShare share;
  share.set(JobId{1}, {1, 50});
  share.set(JobId{2}, {1, 50});
  turns(share, "12", 100);
  share.set(JobId{2}, {1, urgent_priority});
  CHECK(turns(share, "12", 3) == "222");
  turns(share, "2", 500);
  share.set(JobId{2}, {1, 50});
  CHECK(count(turns(share, "12", 20), '2') >= 9);
  CHECK(count(turns(share, "12", 20), '2') <= 11);
}

TEST_CASE("a job with a deadline gets what it needs to be in time, and no less than its own") {
  DeadlineFacts facts{{2, 50}, 100, 100, 1, 10, 3, false};
  CHECK(urgent(facts) == Share{2, 50}); // an eighth would do
  facts.items_left = 400;               // half of all
  CHECK(urgent(facts).priority == 50);
  CHECK(urgent(facts).weight == Approx(3));
  facts.items_left = 639;
  CHECK(urgent(facts).priority == 50);
  CHECK(urgent(facts).weight > 11);
  facts.items_left = 640; // four fifths
  CHECK(urgent(facts).priority == urgent_priority);
  facts.items_left = 0;
  CHECK(urgent(facts) == Share{2, 50});
}

TEST_CASE(
    "a deadline that is near or over, that nothing can be said of, or behind higher priorities") {
  DeadlineFacts facts{{1, 50}, 10, 100, 1, 0, 1, false};
  CHECK(urgent(facts) == Share{1, 50}); // nothing was measured
  facts.seconds_left = 0;
  CHECK(urgent(facts).priority == urgent_priority);
  facts.seconds_left = 100;
  facts.rate_all = 10;
  facts.behind_others = true;
  CHECK(urgent(facts).priority == urgent_priority); // 1.25 a second are needed
  facts.rate = 1.25;
  CHECK(urgent(facts).priority == 50);
}

TEST_CASE("how far ahead a job is counts in what the heavier one gets") {
  FairShare share;
  share.set(JobId{1}, {1, 50});
  share.set(JobId{2}, {4, 50});
  share.served(JobId{1}, 2);
  CHECK(share.ahead(JobId{1}, JobId{2}) == Approx(8));
  CHECK(share.ahead(JobId{2}, JobId{1}) == Approx(-8));
  CHECK(share.ahead(JobId{1}, JobId{9}) == 0);
}

TEST_CASE("a pace is of some ten seconds, and of a young job's whole life") {
  const Time start = time_from_ns(0) + 1h;
  Pace pace{start};
  const auto seconds = [&](int from, int to, int calls_each) {
    for (int second = from; second < to; ++second) {
      for (int call = 0; call < calls_each; ++call) pace.began();
      pace.measure(start + (second + 1) * 1s);
    }
  };
  for (int call = 0; call < 10; ++call) pace.began();
  pace.measure(start + 1s - 1ns);
  CHECK(pace.rate() == 0); // nothing is known
  pace.measure(start + 1s + 300ms);
  CHECK(pace.rate() == Approx(10 / 1.3));
  seconds(2, 9, 10);
  CHECK(pace.rate() == Approx(80 / 9.0));
  seconds(9, 100, 10);
  CHECK(pace.rate() == Approx(10).epsilon(0.01));
  seconds(100, 110, 0);
  CHECK(pace.rate() == Approx(10 / 2.718).epsilon(0.05));
}

TEST_CASE("a job that comes later has calls with a worker that another one has filled") {
  Bench bench;
  JobSpec spec;
  spec.endpoints.resize(1);
  bench.open_job(7, spec);
  Speaker worker{1, 40};
  bench.join(worker);
  bench.offer(1, 400, 7);
  REQUIRE(bench.take_batch(worker).size() == 50); // all that it takes
  bench.open_job(8, spec);
  bench.offer(1'001, 1'100, 8);
  CHECK(bench.take_batch(worker) == ids_between(1'001, 1'005)); // half of what goes ahead
  bench.tick_at(bench.now + 1s);
  CHECK(bench.take_batch(worker).empty());
}

} // namespace fair_share_test
