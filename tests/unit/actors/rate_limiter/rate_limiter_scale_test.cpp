// What an event costs where there are many accounts: no more than where there are few.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"
#include "tests/unit/nano_usd.hpp"

#include <algorithm>
#include <ctime>

namespace rate_limiter_scale_test {

using namespace gristmill;
using namespace gristmill::rate_limiter_test;

namespace {

constexpr std::uint32_t first_job = 100;

double cpu_seconds() {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) + 1e-9 * static_cast<double>(spent.tv_nsec);
}

// So many jobs, each with an endpoint of its own that has made a call; beside them job 7.
struct Crowd : Bench {
  explicit Crowd(std::uint32_t others) {
    job(7, {});
    endpoint(1, {});
    RateLimits limits;
    limits.requests_per_minute = 1'000;
    for (std::uint32_t i = 0; i < others; ++i) {
      const EndpointId id{first_job + i};
      EndpointSpec spec = endpoint_at(fmt::format("http://other-{}/v1", i), limits);
      spec.limits.requests_per_day = 100'000;
      offer({id, "", spec, SessionId{}});
      limiter.job_opened({JobId{first_job + i}, {}, {id}}, now);
    }
    for (int round = 0; round < 2; ++round) {
      for (std::uint32_t i = 0; i < others; ++i) call_of(JobId{first_job + i});
      all_blocks();
    }
  }
  void call_of(JobId id) {
    Acquire acquire = question({CallId{1}});
    acquire.calls[0].job = id;
    acquire.calls[0].model = "m";
    for (const auto& permit : limiter.acquire(acquire, now).permits) answered(permit);
  }
  // What the room does behind each message.
  void all_blocks() {
    auto blocks = limiter.reserve(now);
    const auto marks = limiter.reserve_marks(now);
    auto money = limiter.reserve_money(now);
    notes += limiter.day_notes(now).size() + limiter.learned_notes().size();
    for (const auto& note : blocks) limiter.durable(note.block);
    if (!marks.notes.empty()) limiter.durable(marks.number);
    for (const auto& note : money) limiter.durable(note.number);
    next_wake = limiter.wake_at();
  }

  std::size_t notes = 0;
  Time next_wake{};
};

// The least of some tries, because others use the machine too.
template <class Event> double cost_of(Event event) {
  double least = 1e9;
  for (int attempt = 0; attempt < 7; ++attempt) {
    const double before = cpu_seconds();
    for (int i = 0; i < 200; ++i) event();
    least = std::min(least, cpu_seconds() - before);
  }
  return least;
}

template <class Event> double ratio_of(Event event) {
  Crowd few{100}, many{10'000};
  const double cost_of_few = cost_of([&] { event(few); });
  const double cost_of_many = cost_of([&] { event(many); });
  return cost_of_many / cost_of_few;
}

// A hundred times the accounts cost the logarithm of it, and some misses of the cache.
constexpr double flat = 8;

} // namespace

TEST_CASE("a call costs the same with 100 accounts and with 10,000") {
  CHECK(ratio_of([](Crowd& crowd) {
          crowd.now += 10us;
          crowd.call_of(JobId{7});
          crowd.all_blocks();
        }) < flat);
}

TEST_CASE("a job that comes and goes costs the same with 100 accounts and with 10,000") {
  CHECK(ratio_of([](Crowd& crowd) {
          crowd.now += 10us;
          const EndpointId id{50};
          crowd.offer({id, "", endpoint_at("http://mine/v1"), SessionId{}});
          crowd.limiter.job_opened({JobId{50}, {}, {id}}, crowd.now);
          crowd.call_of(JobId{50});
          crowd.all_blocks();
          crowd.limiter.job_resumed({JobId{50}, {}});
          crowd.limiter.job_closed(JobId{50});
          crowd.limiter.endpoint_gone(id, crowd.now);
          crowd.all_blocks();
        }) < flat);
}

TEST_CASE("an endpoint that many jobs name is added and removed at the same cost") {
  const auto cost_with = [](std::uint32_t named) {
    Bench bench;
    const EndpointSpec spec = endpoint_at("http://shared/v1");
    for (std::uint32_t i = 0; i < named; ++i)
      bench.offer({EndpointId{first_job + i}, "", spec, SessionId{}});
    return cost_of([&] {
      bench.offer({EndpointId{1}, "", spec, SessionId{}});
      bench.limiter.endpoint_gone(EndpointId{1}, bench.now);
    });
  };
  CHECK(cost_with(10'000) / cost_with(100) < flat);
}

TEST_CASE("a job with a budget of money costs the others nothing") {
  const auto cost_with = [](std::uint32_t budgets) {
    Bench bench;
    bench.job(7, {});
    bench.endpoint(1, {});
    for (std::uint32_t i = 0; i < budgets; ++i) {
      JobBudget budget{JobId{first_job + i}, {}, {}};
      budget.money.cap = nano_usd(1'000'000'000);
      bench.limiter.job_opened(budget, bench.now);
    }
    bench.limiter.reserve_money(bench.now);
    return cost_of([&] {
      bench.now += 10us;
      for (const auto& permit : bench.ask({CallId{1}}).permits) bench.answered(permit);
      bench.limiter.reserve_money(bench.now);
      bench.limiter.durable(1'000'000'000);
      (void)bench.limiter.wake_at();
    });
  };
  CHECK(cost_with(10'000) / cost_with(100) < flat);
}

TEST_CASE("all accounts of workers and jobs that left are forgotten, however many they are") {
  Crowd crowd{2'000};
  REQUIRE(crowd.limiter.account_count() == 2 * 2'000 + 2);
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    crowd.limiter.job_closed(JobId{first_job + i});
    crowd.limiter.endpoint_gone(EndpointId{first_job + i}, crowd.now);
  }
  crowd.all_blocks();
  CHECK(crowd.limiter.account_count() >= 2'000); // their calls still count
  for (int hours = 0; hours < 26; ++hours) {
    crowd.now += 1h;
    crowd.all_blocks();
  }
  CHECK(crowd.limiter.account_count() == 2);
}

TEST_CASE("what is learned of the use of tokens is told apart for a bounded number of models") {
  Bench bench;
  bench.job(7, {});
  const EndpointId id{9};
  bench.offer({id, "", endpoint_at("http://own/v1"), SessionId{}});
  bench.limiter.job_opened({JobId{7}, {}, {id}}, bench.now);
  for (int i = 0; i < 1'000; ++i) {
    bench.now += 10ms;
    Acquire acquire = bench.question({CallId{1}});
    acquire.calls[0].model = fmt::format("model-{}", i % 500);
    for (int times = 0; times < 2; ++times) {
      for (const auto& permit : bench.limiter.acquire(acquire, bench.now).permits)
        bench.answered(permit, OutcomeClass::ok, -1, {true, 10, 10, 0, 0});
      bench.write_blocks();
    }
  }
  CHECK(bench.limiter.learned_models(JobId{7}) <= 65);
}

} // namespace rate_limiter_scale_test
