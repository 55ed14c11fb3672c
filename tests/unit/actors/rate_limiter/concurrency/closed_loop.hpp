// A closed loop of clients before a server with slots and a queue, on simulated time with seeded
// latencies: as many calls begin as the limit, or a fixed one, allows.
#pragma once

#include "actors/kit/random.hpp"
#include "actors/rate_limiter/concurrency/concurrency_limit.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace gristmill::rate_limiter_test {

using namespace rate_limiter;

struct Server {
  std::uint32_t slots = 0;
  double seconds = 0, spread = 0;           // median latency of an idle server, and ln's deviation
  bool collapses = false;                   // answers ever more slowly beyond twice its slots
  double stands_from = 1e9, stands_for = 0; // seconds: nothing ends meanwhile
};
using ServerAt = std::function<Server(double seconds)>;

struct Found {
  double rate = 0, p95 = 0;     // calls a second, latency in seconds, in the last three quarters
  double longest = 0;           // of all latencies
  std::uint32_t limit_most = 0; // calls in flight that there ever were
  std::vector<std::uint32_t> limits; // at each end of a call
};

// A standard normal number, by Box and Muller.
inline double normal(Random& random) {
  const double u = random.unit(), v = random.unit();
  return std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
}

class Loop {
public:
  Loop(ServerAt server, std::uint32_t most, std::uint32_t fixed, std::uint64_t seed)
      : server_{std::move(server)}, limit_{most}, fixed_{fixed}, random_{seed} {}

  ConcurrencyLimit& limit() { return limit_; }
  const Found& found() const { return found_; }
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
      found_.longest = std::max(found_.longest, now_ - end.begun);
      if (fixed_ == 0) limit_.answered(end.flight, from_seconds(now_ - end.begun), at(now_));
      found_.limits.push_back(limit_.limit());
      serve();
      begin();
    }
    std::sort(latencies_.begin(), latencies_.end());
    found_.rate = static_cast<double>(latencies_.size()) / (0.75 * seconds);
    if (!latencies_.empty()) found_.p95 = latencies_[latencies_.size() * 95 / 100];
    return found_;
  }

private:
  struct Waiting {
    double begun;
    Flight flight;
  };
  struct End {
    double at, begun;
    Flight flight;
    bool operator>(const End& other) const { return at > other.at; }
  };
  static Time at(double seconds) { return Time{} + std::chrono::hours{1} + from_seconds(seconds); }

  void begin() {
    while (left_ > 0 && (fixed_ != 0 ? in_flight_ < fixed_ : limit_.allows(in_flight_))) {
      --left_;
      waiting_.push_back({now_, fixed_ != 0 ? Flight{} : limit_.begun(at(now_))});
      ++in_flight_;
      found_.limit_most = std::max(found_.limit_most, in_flight_);
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
      ends_.push({now_ + seconds, waiting_.front().begun, waiting_.front().flight});
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

inline ServerAt always(Server server) {
  return [server](double) { return server; };
}

} // namespace gristmill::rate_limiter_test
