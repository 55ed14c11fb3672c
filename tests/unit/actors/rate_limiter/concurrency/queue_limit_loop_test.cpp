// Calls in a closed loop before slots with a queue that tells of itself once a second, on simulated
// time with seeded latencies: how well the slots are used, and how long the line is.
#include "actors/rate_limiter/concurrency/concurrency_limit.hpp"

#include "actors/kit/random.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <deque>
#include <queue>

namespace queue_limit_loop_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;

namespace {

struct Server {
  std::uint32_t slots = 32;
  double spread = 1;        // of ln(latency), whose median is 100 ms
  double away = 0;          // seconds from an answer to the next call's arrival
  std::uint32_t others = 0; // calls of another client that are always in its queue or slots
  double look = 1;          // seconds from report to report
  double median = 0.1;      // latency, in seconds
};

struct Found {
  double used = 0, waiting = 0; // share of the slots that answer calls, and mean length of the line
  std::uint32_t limit = 0, limit_least = UINT32_MAX, in_flight_most = 0;
};

// Calls begin wherever the limit allows; what is measured begins after `from` seconds.
class Loop {
public:
  Loop(Server server, std::uint32_t most, std::uint64_t seed)
      : server_{server}, limit_{most}, random_{seed} {
    for (std::uint32_t n = 0; n < server.others; ++n) line_.push_back({{}, false});
  }

  Found run(double from, double until) {
    double reported = 0, sum_used = 0, sum_line = 0;
    int samples = 0;
    for (now_ = 0; now_ < until; now_ += 0.001) {
      end_due();
      while (limit_.allows(in_flight_)) {
        arriving_.push_back({now_ + server_.away, limit_.begun(at(now_))});
        ++in_flight_;
      }
      while (!arriving_.empty() && arriving_.front().at <= now_) {
        line_.push_back({arriving_.front().flight, true, now_});
        arriving_.pop_front();
      }
      serve();
      found_.in_flight_most = std::max(found_.in_flight_most, in_flight_);
      if (now_ >= reported + server_.look) {
        reported = now_;
        limit_.told({EndpointId{1}, line_.size(), static_cast<std::int64_t>(ends_.size())},
                    in_flight_, at(now_));
      }
      if (now_ < from) continue;
      ++samples;
      sum_used += static_cast<double>(ends_.size()) / server_.slots;
      sum_line += static_cast<double>(line_.size());
      found_.limit_least = std::min(found_.limit_least, limit_.limit());
    }
    found_.used = sum_used / samples;
    found_.waiting = sum_line / samples;
    found_.limit = limit_.limit();
    return found_;
  }

private:
  struct Arriving {
    double at;
    Flight flight;
  };
  struct Waiting {
    Flight flight;
    bool ours;
    double arrived = 0;
  };
  struct End {
    double at, arrived;
    Flight flight;
    bool ours;
    bool operator>(const End& other) const { return at > other.at; }
  };
  static Time at(double seconds) { return Time{} + std::chrono::hours{1} + from_seconds(seconds); }

  void end_due() {
    while (!ends_.empty() && ends_.top().at <= now_) {
      const End end = ends_.top();
      ends_.pop();
      if (end.ours) {
        --in_flight_;
        limit_.answered(end.flight, from_seconds(now_ - end.arrived), at(now_));
      } else {
        line_.push_back({{}, false});
      }
    }
  }
  void serve() {
    while (ends_.size() < server_.slots && !line_.empty()) {
      const double u = random_.unit(), v = random_.unit();
      const double normal = std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
      const double seconds = server_.median * std::exp(server_.spread * normal);
      ends_.push({now_ + seconds, line_.front().arrived, line_.front().flight, line_.front().ours});
      line_.pop_front();
    }
  }

  Server server_;
  ConcurrencyLimit limit_;
  Random random_;
  double now_ = 0;
  std::uint32_t in_flight_ = 0;
  std::deque<Arriving> arriving_;
  std::deque<Waiting> line_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  Found found_;
};

} // namespace

TEST_CASE("the slots of a server that tells are used, and hardly anybody waits", "[queue]") {
  for (const std::uint32_t slots : {1u, 8u, 32u, 256u})
    for (const double spread : {0.02, 1.0, 1.5})
      for (const double away : {0.0, 0.004, 0.1}) {
        INFO(slots << " slots, spread " << spread << ", away " << away);
        const Found found = Loop{{slots, spread, away}, 1'024, slots + 7}.run(80, 120);
        CHECK(found.used > (away > 0.05 ? 0.85 : 0.95));
        CHECK(found.waiting < std::max(2.5, 0.2 * slots));
      }
}

TEST_CASE("a server of many slots is filled within seconds", "[queue]") {
  CHECK(Loop{{2'000, 1}, 1'500, 3}.run(10, 12).limit == 1'500);
}

TEST_CASE("another client's queue leaves us a part of the server", "[queue]") {
  const Found found = Loop{{32, 1, 0.004, 200}, 512, 5}.run(10, 30);
  CHECK(found.limit_least >= 16);
  CHECK(found.limit <= 64);
}

TEST_CASE("looked at often, a server is filled within a second and never beyond a quarter more",
          "[queue]") {
  for (const std::uint32_t slots : {8u, 26u, 32u, 64u, 512u, 4'000u})
    for (const double spread : {0.02, 1.0}) {
      INFO(slots << " slots, spread " << spread);
      const Server server{slots, spread, 0.005, 0, 0.025, 2};
      const Found found = Loop{server, 0, slots + 3}.run(1.5, 10);
      CHECK(found.used > 0.95);
      CHECK(found.in_flight_most <= std::max(32.0, 1.25 * slots));
    }
}

} // namespace queue_limit_loop_test
