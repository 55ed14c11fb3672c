// How many calls a server takes up, found against servers that never say it.
#include "tests/unit/actors/rate_limiter/concurrency/closed_loop.hpp"

#include <catch2/catch.hpp>
#include <map>

namespace concurrency_limit_test {

using namespace gristmill;
using namespace gristmill::rate_limiter_test;

namespace {

// The fixed limit that brings most, the lowest of equal ones.
Found best_fixed(const ServerAt& server, double seconds) {
  Found best;
  for (const std::uint32_t fixed :
       {1u, 2u, 4u, 8u, 12u, 16u, 24u, 32u, 40u, 64u, 128u, 256u, 512u}) {
    Found found = Loop{server, 0, fixed, 99}.run(seconds);
    if (found.rate > best.rate * 1.005) best = std::move(found);
  }
  return best;
}

// Against the best fixed limit, over seeds: the mean of the rates and of the 95th percentiles.
struct Compared {
  double rate = 0, p95 = 0;
};
Compared compared(const ServerAt& server, double seconds, std::uint32_t most = 512) {
  constexpr int seeds = 10;
  const Found best = best_fixed(server, seconds);
  Compared mean;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Found found = Loop{server, most, 0, seed}.run(seconds);
    CHECK(found.limit_most <= most);
    mean.rate += found.rate / best.rate / seeds;
    mean.p95 += found.p95 / best.p95 / seeds;
  }
  return mean;
}

std::uint32_t limit_at(const Found& found, double share) {
  return found.limits.at(
      static_cast<std::size_t>(share * static_cast<double>(found.limits.size() - 1)));
}

} // namespace

TEST_CASE("a server with slots that queues in silence gets about as many calls as it has slots") {
  for (const double spread : {0.02, 0.3, 0.5}) {
    INFO("spread " << spread);
    const Compared to_best = compared(always({32, 0.1, spread}), 40);
    CHECK(to_best.rate > 0.95);
    CHECK(to_best.p95 < 1.5);
  }
}

TEST_CASE("a slow server and a small one are found, too") {
  const Compared slow = compared(always({32, 1, 0.5}), 120);
  CHECK(slow.rate > 0.95);
  CHECK(slow.p95 < 1.5);
  const Compared small = compared(always({8, 0.3, 0.3}), 120);
  CHECK(small.rate > 0.95);
  CHECK(small.p95 < 1.7);
}

TEST_CASE("a server that takes up everything soon gets everything that is allowed") {
  const Compared to_best = compared(always({100'000, 1, 0.5}), 60);
  CHECK(to_best.rate > 0.93);
  const Found found = Loop{always({100'000, 1, 0.02}), 512, 0, 1}.run(20);
  CHECK(limit_at(found, 1) == 512);
}

// How much longer jobs take than with 512 calls in flight from the start: the mean over seeds, and
// how many of them take more than a twentieth longer.
struct Longer {
  double mean = 0;
  int by_a_twentieth = 0;
};
Longer longer(const Server& server, std::uint64_t seeds) {
  Longer longer;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const double share = Loop{always(server), 512, 0, seed}.makespan(20'000) /
                         Loop{always(server), 0, 512, seed}.makespan(20'000);
    longer.mean += share / static_cast<double>(seeds);
    if (share > 1.05) ++longer.by_a_twentieth;
  }
  return longer;
}

TEST_CASE("a job of 20,000 calls takes little longer than with 512 in flight from the start") {
  for (const double spread : {0.02, 0.5, 1.0}) {
    INFO("spread " << spread);
    const Longer by = longer({100'000, 0.4, spread}, 60);
    CHECK(by.mean < 1.035);
    CHECK(by.by_a_twentieth <= 1);
  }
}

TEST_CASE("a moment in which nothing ends is not taken for a queue") {
  for (const double stands_for : {0.3, 1.0, 3.0}) {
    for (const double spread : {0.02, 0.5, 1.0}) {
      INFO("for " << stands_for << " s, spread " << spread);
      const Longer by = longer({100'000, 0.4, spread, false, 5, stands_for}, 30);
      CHECK(by.mean < 1.045);
      CHECK(by.by_a_twentieth <= 6);
    }
  }
}

TEST_CASE("a limit that keeps no call from beginning is never lowered") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    ConcurrencyLimit limit{0};
    Random random{seed};
    std::multimap<double, std::pair<double, Flight>> ends; // when; when begun
    for (int n = 0; n < 8'000; ++n) {                      // forty calls a second
      const double now = n / 40.0;
      const Time at = Time{} + from_seconds(now);
      for (; !ends.empty() && ends.begin()->first <= now; ends.erase(ends.begin())) {
        const auto& [end, call] = *ends.begin();
        limit.answered(call.second, from_seconds(end - call.first), Time{} + from_seconds(end));
      }
      REQUIRE(limit.allows(static_cast<std::uint32_t>(ends.size())));
      ends.emplace(now + 0.05 + 0.55 * random.unit(), std::pair{now, limit.begun(at)});
    }
    CHECK(limit.limit() == ConcurrencyLimit::first);
  }
}

TEST_CASE("a queue is heard of although every fourth call ends in a way that says nothing") {
  ConcurrencyLimit limit{0};
  Time now = Time{} + std::chrono::hours{1};
  const auto round = [&](std::chrono::milliseconds latency) {
    std::vector<Flight> flying;
    for (int n = 0; n < 32; ++n) {
      limit.allows(std::min<std::uint32_t>(static_cast<std::uint32_t>(n), limit.limit() - 1));
      flying.push_back(limit.begun(now));
    }
    CHECK_FALSE(limit.allows(limit.limit()));
    now += latency;
    for (std::size_t n = 0; n < flying.size(); ++n) {
      if (n % 4 == 3)
        limit.ended_otherwise(flying[n], now);
      else
        limit.answered(flying[n], latency, now);
    }
  };
  round(std::chrono::milliseconds{100});
  const std::uint32_t risen = limit.limit();
  CHECK(risen > 32);
  for (int n = 0; n < 3; ++n) round(std::chrono::milliseconds{1'000});
  CHECK(limit.limit() < risen);
}

TEST_CASE("a server that collapses when it has too much is kept from it") {
  const Compared to_best = compared(always({32, 0.1, 0.3, true}), 40);
  CHECK(to_best.rate > 0.93);
}

TEST_CASE("other slots in the middle are followed within seconds, down and up") {
  for (const auto& [before, after] : {std::pair{32u, 8u}, std::pair{8u, 32u}}) {
    INFO("from " << before << " to " << after);
    const std::uint32_t a = before, b = after;
    const auto server = [a, b](double seconds) { return Server{seconds < 20 ? a : b, 0.1, 0.3}; };
    const Found found = Loop{server, 512, 0, 5}.run(60);
    std::uint64_t sum = 0;
    const std::size_t from = found.limits.size() * 9 / 10;
    for (std::size_t n = from; n < found.limits.size(); ++n) sum += found.limits[n];
    const double mean = static_cast<double>(sum) / static_cast<double>(found.limits.size() - from);
    CHECK(mean > 0.8 * after);
    CHECK(mean < 1.7 * after);
  }
}

TEST_CASE("a server that becomes slower without queueing keeps its calls") {
  const auto server = [](double seconds) { return Server{32, seconds < 20 ? 0.1 : 0.4, 0.3}; };
  CHECK(compared(server, 80).rate > 0.93);
}

TEST_CASE("the first limit, the floor and the ceiling are kept") {
  CHECK(ConcurrencyLimit{0}.limit() == 32);
  CHECK(ConcurrencyLimit{31}.limit() == 31);
  CHECK(ConcurrencyLimit{32}.limit() == 32);
  // Somebody says so many; a number that is only generous is begun with 64.
  CHECK(ConcurrencyLimit{63}.limit() == 63);
  CHECK(ConcurrencyLimit{64}.limit() == 64);
  CHECK(ConcurrencyLimit{65}.limit() == 64);
  ConcurrencyLimit limit{512};
  CHECK(limit.allows(63));
  CHECK_FALSE(limit.allows(64));
  limit.set_most(10);
  CHECK(limit.limit() == 10);
  limit.set_most(25);
  CHECK(limit.limit() == 25);
  limit.set_most(0);
  CHECK(limit.limit() == 32);
  limit.set_most(32);
  limit.set_most(512);
  CHECK(limit.limit() == 64);
  Time now = Time{} + std::chrono::hours{1};
  for (int n = 0; n < 50; ++n) limit.overloaded(now += std::chrono::seconds{2});
  CHECK(limit.limit() == 1);
  CHECK(limit.allows(0));
}

TEST_CASE("an overload shrinks the limit once for all calls of a burst") {
  ConcurrencyLimit limit{0};
  const Time now = Time{} + std::chrono::hours{1};
  for (int n = 0; n < 100; ++n) limit.overloaded(now + std::chrono::milliseconds{n});
  CHECK(limit.limit() == 22); // 32 * 0.7
  limit.overloaded(now + std::chrono::seconds{1});
  CHECK(limit.limit() == 15);
}

TEST_CASE("a server that dies of too many calls, again and again, is given fewer") {
  using namespace std::chrono_literals;
  ConcurrencyLimit limit{0};
  Time now = time_from_ns(0) + 1h;
  constexpr std::uint32_t slots = 8;
  // Calls until it dies or has answered so many; returns whether it lived.
  const auto lives = [&](int answers) {
    while (answers > 0) {
      std::vector<Flight> flights;
      while (limit.allows(static_cast<std::uint32_t>(flights.size())))
        flights.push_back(limit.begun(now));
      now += 200ms;
      const auto out = static_cast<std::uint32_t>(flights.size());
      if (out > slots) {
        for (const Flight& flight : flights) limit.ended_otherwise(flight, now);
        limit.went_down(out, now);
        now += 2s;
        return false;
      }
      for (const Flight& flight : flights) limit.answered(flight, 200ms, now);
      answers -= static_cast<int>(flights.size());
    }
    return true;
  };
  int deaths = 0;
  for (int round = 0; round < 100; ++round) deaths += !lives(20);
  CHECK(deaths <= 8);
  CHECK(limit.limit() <= slots);
  CHECK(limit.limit() >= slots / 2);
}

TEST_CASE("that a server goes down once, or among few calls, says nothing of how many it takes") {
  using namespace std::chrono_literals;
  ConcurrencyLimit limit{0};
  Time now = time_from_ns(0) + 1h;
  const std::uint32_t first = limit.limit();
  const auto down = [&](std::uint32_t in_flight, Duration later) {
    limit.went_down(in_flight, now += later);
    return limit.limit();
  };
  CHECK(down(first, 0s) == first);
  CHECK(down(first, 120s) == first); // a day's restarts
  CHECK(down(first * 3 / 4 - 1, 1s) == first);
  CHECK(down(first, 119s - 1s) == first / 2);
  CHECK(down(first / 2, 1s) == first / 4);
}

TEST_CASE("a single call without an answer in time is no overload, many are one") {
  ConcurrencyLimit limit{0};
  Time now = Time{} + std::chrono::hours{1};
  REQUIRE(limit.allows(31));
  const Flight call = limit.begun(now);
  for (int n = 0; n < 1'000; ++n) {
    now += std::chrono::milliseconds{10};
    if (n % 100 == 0) limit.timed_out({}, now); // one in a hundred
    limit.answered(call, std::chrono::milliseconds{50}, now);
  }
  CHECK(limit.limit() == 32);
  for (int n = 0; n < 8; ++n) limit.timed_out({}, now += std::chrono::milliseconds{10});
  CHECK(limit.limit() == 22);
}

} // namespace concurrency_limit_test
