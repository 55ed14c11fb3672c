// How the limit of calls in flight begins: small at a small server, soon large at a large one, and
// with what was found before.
#include "tests/unit/actors/rate_limiter/concurrency/closed_loop.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <iostream>
#include <vector>

namespace slow_start_test {

using namespace gristmill;
using namespace gristmill::rate_limiter_test;

namespace {

struct Start {
  double of_ideal = 0, longest = 0; // the means over seeds: time of the job, longest call
  std::uint32_t most = 0;           // calls in flight
};

// Nobody said how many it takes; the callers are so many.
Loop unstated(const Server& server, std::uint64_t seed) {
  Loop loop{always(server), ConcurrencyLimit::unbounded, 0, seed};
  loop.limit().set_most(4'096);
  return loop;
}

Start begin(const Server& server, std::uint64_t calls, std::optional<FoundLimit> found = {}) {
  constexpr int seeds = 5;
  Start start;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    Loop loop = unstated(server, seed);
    if (found) loop.limit().resumed(*found, Time{} + std::chrono::hours{1});
    const double ideal = Loop{always(server), 0, server.slots, seed}.makespan(calls);
    start.of_ideal += loop.makespan(calls) / ideal / seeds;
    start.longest += loop.found().longest / seeds;
    start.most = std::max(start.most, loop.found().limit_most);
  }
  return start;
}

// The middle one of several jobs: where latencies spread, one in sixteen finds 14 at 8 slots.
FoundLimit found_at(const Server& server, std::uint64_t calls) {
  std::vector<FoundLimit> found;
  for (std::uint64_t seed = 5; seed <= 9; ++seed) {
    Loop loop = unstated(server, seed);
    loop.makespan(calls);
    REQUIRE(loop.limit().found());
    found.push_back(*loop.limit().found());
  }
  std::ranges::sort(found, {}, &FoundLimit::limit);
  return found[found.size() / 2];
}

} // namespace

TEST_CASE("a job takes little longer than with as many calls as the server has slots", "[start]") {
  struct Row {
    std::uint32_t slots;
    double seconds;
    std::uint64_t calls;
    double most_of_ideal, longest; // the latter in latencies
  };
  for (const Row& row : {Row{1, 2, 50, 1.05, 40}, Row{4, 2, 200, 1.05, 10}, Row{8, 1, 400, 1.1, 6},
                         Row{33, 1, 1'500, 1.1, 13}, Row{100, 1, 4'000, 1.1, 13},
                         Row{512, 0.5, 5'000, 1.25, 13}, Row{4'000, 1, 20'000, 1.8, 5}})
    for (const double spread : {0.0, 0.1, 0.3}) {
      const Start start = begin({row.slots, row.seconds, spread}, row.calls);
      INFO(row.slots << " slots of " << row.seconds << " s, spread " << spread);
      CHECK(start.of_ideal < row.most_of_ideal);
      CHECK(start.longest < row.longest * row.seconds);
    }
}

TEST_CASE("what an earlier job found is where the next one begins", "[start]") {
  for (const Server& server : {Server{512, 0.5, 0.1}, Server{4'000, 1, 0.1}}) {
    INFO(server.slots << " slots");
    const FoundLimit found = found_at(server, 20'000);
    const Start start = begin(server, 20'000, found);
    CHECK(start.of_ideal < 1.03);
    CHECK(start.most < 1.5 * server.slots);
  }
}

TEST_CASE("above what was found before only a little is tried, at a small server", "[start]") {
  for (const double spread : {0.0, 0.1, 0.3}) {
    INFO("spread " << spread);
    const FoundLimit found = found_at({8, 1, spread}, 400);
    CHECK_FALSE(found.rising);
    CHECK(found.limit <= 10);
    const Start start = begin({8, 1, spread}, 800, found);
    CHECK(start.most <= 12);
    CHECK(start.of_ideal < 1.1);
  }
}

TEST_CASE("what was taken up while the limit rose is known, and it goes on rising", "[start]") {
  ConcurrencyLimit limit{0};
  CHECK_FALSE(limit.found());
  limit.resumed({100, true}, Time{} + std::chrono::hours{1});
  CHECK(limit.limit() == 100);
  CHECK(limit.found() == FoundLimit{100, true});
  const Start start = begin({4'000, 1, 0.1}, 20'000, FoundLimit{600, true});
  CHECK(start.of_ideal < begin({4'000, 1, 0.1}, 20'000).of_ideal - 0.1);
  limit.resumed({0, false}, Time{}); // a row that says nothing
  CHECK(limit.limit() == 100);
}

TEST_CASE("what an outage leaves of a limit is not remembered", "[start]") {
  Loop loop{always({8, 0.1, 0.1}), 4'096, 0, 3};
  loop.makespan(2'000);
  ConcurrencyLimit limit = loop.limit();
  const auto found = limit.found();
  REQUIRE(found);
  Time now = Time{} + std::chrono::hours{2};
  for (int n = 0; n < 20; ++n) limit.overloaded(now += std::chrono::seconds{2});
  CHECK(limit.limit() == 1);
  CHECK_FALSE(limit.found());
}

TEST_CASE("the table of starts", "[.measure]") {
  std::cout
      << "| slots | latency s | calls | of the ideal | longest call, latencies | in flight |\n"
         "|---:|---:|---:|---:|---:|---:|\n";
  for (const auto& [slots, seconds, calls] : {std::tuple{1u, 2.0, 50},
                                              {4u, 2.0, 200},
                                              {8u, 1.0, 400},
                                              {33u, 1.0, 1'500},
                                              {100u, 1.0, 4'000},
                                              {512u, 0.5, 5'000},
                                              {4'000u, 1.0, 20'000},
                                              {4'000u, 30.0, 20'000}})
    for (const double spread : {0.0, 0.3, 1.0}) {
      const Start start = begin({slots, seconds, spread}, static_cast<std::uint64_t>(calls));
      std::cout << fmt::format("| {} | {}, spread {} | {} | {:.3f} | {:.1f} | {} |\n", slots,
                               seconds, spread, calls, start.of_ideal, start.longest / seconds,
                               start.most);
    }
}

} // namespace slow_start_test
