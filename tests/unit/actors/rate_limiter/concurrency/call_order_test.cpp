// Whether calls of a burst stand in a queue, by their order alone.
#include "actors/rate_limiter/concurrency/call_order.hpp"

#include "actors/kit/random.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

namespace call_order_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;

namespace {

// As seen after so many seconds.
std::vector<OrderedCall> seen(const std::vector<double>& seconds, double after) {
  std::vector<OrderedCall> calls;
  for (const double s : seconds) calls.push_back({std::log(std::min(s, after)), s <= after});
  return calls;
}

std::vector<double> queue_of(std::size_t calls, std::size_t slots, double seconds) {
  std::vector<double> latencies;
  for (std::size_t n = 0; n < calls; ++n)
    latencies.push_back(seconds * static_cast<double>(n / slots + 1));
  return latencies;
}

} // namespace

TEST_CASE("a queue is seen when a quarter of the first calls have ended", "[start]") {
  for (const std::size_t slots : {1u, 2u, 4u, 6u}) {
    INFO(slots << " slots");
    const auto latencies = queue_of(32, slots, 2);
    CHECK(longer_by_order(seen(latencies, latencies[7])) > 2);
    CHECK(longer_by_order(seen(latencies, latencies[15])) > 3.5);
  }
}

TEST_CASE("a burst that is answered in the order in which it was sent is no queue", "[start]") {
  std::vector<double> latencies;
  for (int n = 0; n < 32; ++n) latencies.push_back(0.5 + 0.003 * n);
  for (const double after : {0.5, 0.52, 0.55, 1.0})
    CHECK(longer_by_order(seen(latencies, after)) == 0);
}

TEST_CASE("latencies that spread widely are taken for a queue as seldom as luck allows",
          "[start]") {
  Random random{3};
  int doubtful = 0, sure = 0, looks = 0;
  for (int burst = 0; burst < 1'000; ++burst) {
    std::vector<double> latencies;
    for (int n = 0; n < 32; ++n) latencies.push_back(0.02 + random.unit() * random.unit() * 4);
    std::vector<double> sorted = latencies;
    std::sort(sorted.begin(), sorted.end());
    for (const std::size_t ended : {8u, 16u, 24u}) {
      const double errors = longer_by_order(seen(latencies, sorted[ended - 1]));
      ++looks;
      doubtful += errors > 2 ? 1 : 0;
      sure += errors > 3.5 ? 1 : 0;
    }
  }
  CHECK(doubtful < looks / 20);
  CHECK(sure <= looks / 1'000);
}

TEST_CASE("the slots of a queue are guessed from the first answers", "[start]") {
  for (const std::size_t slots : {1u, 2u, 4u, 8u, 12u}) {
    INFO(slots << " slots");
    const auto latencies = queue_of(32, slots, 2);
    const double guessed = slots_by_order(seen(latencies, latencies[15]));
    CHECK(guessed >= static_cast<double>(slots));
    CHECK(guessed <= 5.0 * static_cast<double>(slots));
  }
  CHECK(slots_by_order(seen(queue_of(32, 4, 2), 1)) == 0); // nothing has ended
  CHECK(longer_by_order({}) == 0);
}

} // namespace call_order_test
