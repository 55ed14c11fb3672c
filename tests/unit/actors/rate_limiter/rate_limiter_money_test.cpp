// A limiter whose job has a budget of money: permits within it, and what is said when it is spent.
#include "actors/rate_limiter/rate_limiter.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>

namespace rate_limiter_money_test {

using namespace gristmill;
using namespace std::chrono_literals;

namespace {

PoolSpec pool(std::string model, TokenPrice price) {
  PoolSpec spec;
  spec.model = std::move(model);
  spec.price = price;
  return spec;
}

struct Bench {
  // $1 and $2 for 1M tokens: a call of 100 tokens, 50 of them in its answer, may cost 150,000.
  rate_limiter::RateLimiter limiter{Epoch{3},
                                    {pool("m", {1'000'000, 2'000'000}), pool("free", {})}};
  Time now = time_from_ns(0) + 1h;

  explicit Bench(Usd cap) {
    for (std::uint32_t id : {1u, 2u}) {
      EndpointSpec endpoint;
      endpoint.url = "http://host";
      limiter.endpoint_added({EndpointId{id}, id == 1 ? "m" : "free", endpoint, {}}, now);
    }
    JobBudget job{JobId{7}, {}, {}};
    job.money.cap = cap;
    limiter.job_opened(job, now);
  }
  void write() {
    for (const auto& note : limiter.reserve(now)) limiter.durable(note.block);
    limiter.durable(limiter.reserve_marks(now).number);
    for (const auto& note : limiter.reserve_money(now)) limiter.durable(note.number);
  }
  Granted ask(std::string model = "m") {
    AcquireCall call{CallId{1}, JobId{7}, 0, 100, std::move(model), 50};
    Granted granted;
    for (int n = 0; n < 3 && granted.permits.empty(); ++n) {
      granted = limiter.acquire({SessionId{5}, Nonce{1}, {call}}, now);
      if (granted.permits.empty()) write();
    }
    return granted;
  }
  void end(const Granted& granted, Ended::How how, std::optional<Usd> cost = Usd{}) {
    Ended ended{how, granted.permits.at(0).attempt, {}, {}, -1};
    ended.cost = cost;
    limiter.ended(ended, now);
  }
};

} // namespace

TEST_CASE("a permit says what its call may cost at most, and goes if that is left", "[money]") {
  for (const std::uint64_t cap : {299'999u, 300'000u, 300'001u}) {
    Bench bench{nano_usd(cap)};
    const Granted first = bench.ask();
    REQUIRE(first.permits.size() == 1);
    CHECK(first.notes.at(0).most_cost == nano_usd(150'000));
    CHECK(bench.ask().permits.size() == (cap >= 300'000 ? 1 : 0));
  }
}

TEST_CASE("a job whose money is spent is stopped when nothing in flight may come back", "[money]") {
  Bench bench{nano_usd(200'000)};
  const Granted first = bench.ask();
  const Granted waits = bench.ask();
  REQUIRE(waits.waits.size() == 1);
  CHECK(waits.stops.empty());
  SECTION("an answer that cost less makes room") {
    bench.end(first, Ended::How::answered, nano_usd(50'000));
    CHECK(bench.ask().permits.size() == 1);
  }
  SECTION("so does a call that was never sent") {
    bench.end(first, Ended::How::too_late);
    CHECK(bench.ask().permits.size() == 1);
  }
  SECTION("a lost call keeps what it may cost, and a higher cap lets others go") {
    bench.end(first, Ended::How::lost);
    const Granted stopped = bench.ask();
    REQUIRE(stopped.stops.size() == 1);
    CHECK(stopped.stops[0].cap == nano_usd(200'000));
    CHECK(stopped.stops[0].charged == nano_usd(150'000));
    CHECK(stopped.stops[0].unknown == nano_usd(150'000));
    CHECK(stopped.stops[0].next_call == nano_usd(150'000));
    bench.limiter.job_resumed({JobId{7}, nano_usd(300'000)});
    CHECK(bench.ask().permits.size() == 1);
  }
}

TEST_CASE("a job keeps its turn at an endpoint while its money is written", "[money]") {
  Bench bench{nano_usd(1'000'000)};
  bench.limiter.job_opened({JobId{8}, {}, {}, {}, Share{1, 49}}, bench.now);
  const auto ask = [&](std::uint32_t job) {
    AcquireCall call{CallId{job}, JobId{job}, 0, 100, "m", 50};
    return bench.limiter.acquire({SessionId{5}, Nonce{1}, {call}}, bench.now);
  };
  // All that both need but money.
  for (int n = 0; n < 3; ++n) {
    for (const std::uint32_t job : {7, 8}) ask(job);
    for (const auto& note : bench.limiter.reserve(bench.now)) bench.limiter.durable(note.block);
    bench.limiter.durable(bench.limiter.reserve_marks(bench.now).number);
  }
  const Granted high = ask(7);
  REQUIRE(high.waits.size() == 1);
  REQUIRE(words_of(high.waits[0].reason) == "the budget block is being written");
  const Granted low = ask(8);
  REQUIRE(low.waits.size() == 1);
  CHECK(low.waits[0].reason.kind == WaitKind::turn);
  bench.write();
  CHECK(ask(7).permits.size() == 1);
}

TEST_CASE("no call goes to a model without a price", "[money]") {
  Bench bench{nano_usd(1'000'000)};
  const Granted stopped = bench.ask("free");
  CHECK(stopped.permits.empty());
  REQUIRE_FALSE(stopped.stops.empty());
  CHECK(stopped.stops[0].next_call == nano_usd(0));
  CHECK(stopped.stops[0].model == "free");
}

TEST_CASE("a call that may cost more than the whole budget stops nobody else", "[money]") {
  for (const std::uint64_t cap : {149'999u, 150'000u, 150'001u}) {
    Bench bench{nano_usd(cap)};
    const Granted granted = bench.ask();
    const bool fits = cap >= 150'000;
    CHECK(granted.permits.size() == (fits ? 1 : 0));
    CHECK(granted.stops.empty());
    REQUIRE(granted.exceeding.size() == (fits ? 0 : 1));
    if (!fits) CHECK_THAT(granted.exceeding[0].why, Catch::Contains("$0.000150; lower its"));
  }
}

} // namespace rate_limiter_money_test
