// How many calls a server takes up, found against servers that never say it: a closed loop of
// clients before slots with a queue, on simulated time with seeded latencies.
#include "actors/rate_limiter/concurrency_limit.hpp"

#include "actors/kit/random.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <queue>

using namespace gristmill;
using namespace gristmill::rate_limiter;

namespace {

struct Server {
  std::uint32_t slots = 0;
  double seconds = 0, spread = 0;           // median latency of an idle server, and ln's deviation
  bool collapses = false;                   // answers ever more slowly beyond twice its slots
  double stands_from = 1e9, stands_for = 0; // seconds: nothing ends meanwhile
};
using ServerAt = std::function<Server(double seconds)>;

struct Found {
  double rate = 0, p95 = 0;     // calls a second, latency in seconds, in the last three quarters
  std::uint32_t limit_most = 0; // that was ever allowed
  std::vector<std::uint32_t> limits; // at each end of a call
};

// A standard normal number, by Box and Muller.
double normal(Random& random) {
  const double u = random.unit(), v = random.unit();
  return std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
}

class Loop {
public:
  Loop(ServerAt server, std::uint32_t most, std::uint32_t fixed, std::uint64_t seed)
      : server_{std::move(server)}, limit_{most}, fixed_{fixed}, random_{seed} {}

  // Until the end of that many calls.
  double makespan(std::uint64_t calls) {
    left_ = calls;
    run(1e9);
    return now_;
  }
  Found run(double seconds) {
    begin();
    while (!ends_.empty() && ends_.top().at <= seconds) {
      const End end = ends_.top();
      ends_.pop();
      now_ = end.at;
      --in_flight_;
      --busy_;
      if (now_ > seconds / 4) latencies_.push_back(now_ - end.begun);
      if (fixed_ == 0) limit_.answered(end.cohort, from_seconds(now_ - end.begun), at(now_));
      found_.limits.push_back(limit_.limit());
      found_.limit_most = std::max(found_.limit_most, in_flight_);
      serve();
      begin();
    }
    std::sort(latencies_.begin(), latencies_.end());
    found_.rate = static_cast<double>(latencies_.size()) / (0.75 * seconds);
    if (!latencies_.empty()) found_.p95 = latencies_[latencies_.size() * 95 / 100];
    return std::move(found_);
  }

private:
  struct Waiting {
    double begun;
    std::uint64_t cohort;
  };
  struct End {
    double at, begun;
    std::uint64_t cohort;
    bool operator>(const End& other) const { return at > other.at; }
  };
  static Time at(double seconds) { return Time{} + std::chrono::hours{1} + from_seconds(seconds); }

  void begin() {
    while (left_ > 0 && (fixed_ != 0 ? in_flight_ < fixed_ : limit_.allows(in_flight_))) {
      --left_;
      waiting_.push_back({now_, fixed_ != 0 ? 0 : limit_.begun()});
      ++in_flight_;
      serve();
    }
  }
  void serve() {
    const Server server = server_(now_);
    while (busy_ < server.slots && !waiting_.empty()) {
      double seconds = server.seconds * std::exp(server.spread * normal(random_));
      const double load = in_flight_ / (2.0 * server.slots);
      if (server.collapses && load > 1) seconds *= std::pow(load, 1.5);
      const double goes_on = server.stands_from + server.stands_for;
      if (now_ < goes_on && now_ + seconds > server.stands_from)
        seconds += goes_on - std::max(now_, server.stands_from);
      ends_.push({now_ + seconds, waiting_.front().begun, waiting_.front().cohort});
      waiting_.pop_front();
      ++busy_;
    }
  }

  ServerAt server_;
  ConcurrencyLimit limit_;
  std::uint32_t fixed_;
  Random random_;
  double now_ = 0;
  std::uint64_t left_ = std::uint64_t{1} << 60;
  std::uint32_t in_flight_ = 0, busy_ = 0;
  std::deque<Waiting> waiting_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  std::vector<double> latencies_;
  Found found_;
};

ServerAt always(Server server) {
  return [server](double) { return server; };
}

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
      CHECK(by.mean < 1.035);
      CHECK(by.by_a_twentieth <= 3);
    }
  }
}

TEST_CASE("a limit that keeps no call from beginning is never lowered") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    ConcurrencyLimit limit{0};
    Random random{seed};
    std::priority_queue<std::pair<double, std::uint64_t>,
                        std::vector<std::pair<double, std::uint64_t>>,
                        std::greater<>>
        ends; // when, cohort
    std::map<double, double> begun;
    for (int n = 0; n < 8'000; ++n) { // eighty calls a second
      const double now = n / 80.0;
      while (!ends.empty() && ends.top().first <= now) {
        const auto [end, cohort] = ends.top();
        ends.pop();
        limit.answered(cohort, from_seconds(end - begun[end]), Time{} + from_seconds(end));
        begun.erase(end);
      }
      REQUIRE(limit.allows(static_cast<std::uint32_t>(ends.size())));
      const double end = now + 0.05 + 0.55 * random.unit();
      begun[end] = now;
      ends.emplace(end, limit.begun());
    }
    CHECK(limit.limit() == ConcurrencyLimit::first);
  }
}

TEST_CASE("a queue is heard of although every fourth call ends in a way that says nothing") {
  ConcurrencyLimit limit{0};
  Time now = Time{} + std::chrono::hours{1};
  const auto round = [&](std::chrono::milliseconds latency) {
    std::vector<std::uint64_t> flying;
    for (int n = 0; n < 128; ++n) flying.push_back(limit.begun());
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
  CHECK(risen > 128);
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
  CHECK(ConcurrencyLimit{0}.limit() == 128);
  CHECK(ConcurrencyLimit{127}.limit() == 127);
  CHECK(ConcurrencyLimit{128}.limit() == 128);
  CHECK(ConcurrencyLimit{129}.limit() == 128);
  ConcurrencyLimit limit{512};
  CHECK(limit.allows(127));
  CHECK_FALSE(limit.allows(128));
  limit.set_most(40);
  CHECK(limit.limit() == 40);
  limit.set_most(100);
  CHECK(limit.limit() == 100);
  limit.set_most(512);
  CHECK(limit.limit() == 128);
  Time now = Time{} + std::chrono::hours{1};
  for (int n = 0; n < 50; ++n) limit.overloaded(now += std::chrono::seconds{2});
  CHECK(limit.limit() == 1);
  CHECK(limit.allows(0));
}

TEST_CASE("an overload shrinks the limit once for all calls of a burst") {
  ConcurrencyLimit limit{0};
  const Time now = Time{} + std::chrono::hours{1};
  for (int n = 0; n < 100; ++n) limit.overloaded(now + std::chrono::milliseconds{n});
  CHECK(limit.limit() == 90); // 128 * 0.7
  limit.overloaded(now + std::chrono::seconds{1});
  CHECK(limit.limit() == 63);
}

TEST_CASE("a single call without an answer in time is no overload, many are one") {
  ConcurrencyLimit limit{0};
  Time now = Time{} + std::chrono::hours{1};
  for (int n = 0; n < 1'000; ++n) {
    now += std::chrono::milliseconds{10};
    if (n % 100 == 0) limit.timed_out(0, now); // one in a hundred
    limit.answered(0, std::chrono::milliseconds{50}, now);
  }
  CHECK(limit.limit() == 128);
  for (int n = 0; n < 8; ++n) limit.timed_out(0, now += std::chrono::milliseconds{10});
  CHECK(limit.limit() == 90);
}
