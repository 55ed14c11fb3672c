// Endpoints that say that they are full: at once, as who counts calls in a time, or after a while,
// as who has too few slots.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace full_endpoint_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

struct Full {
  Bench bench;
  Full() {
    bench.endpoint(1, {});
    bench.job(7, {});
  }
  void end(const protocol::Permit& permit, OutcomeClass cls, Duration latency) {
    Ended ended;
    ended.attempt = permit.attempt;
    ended.cls = cls;
    ended.latency = latency;
    bench.limiter.ended(ended, bench.now);
  }
  // Up to eight calls a second are answered, and two are refused after so long.
  void second(Duration refused_after) {
    const auto permits = bench.ask(calls(10)).permits;
    for (std::size_t n = 8; n < permits.size(); ++n)
      end(permits[n], OutcomeClass::unavailable, refused_after);
    bench.now += 1s;
    for (std::size_t n = 0; n < std::min<std::size_t>(8, permits.size()); ++n)
      end(permits[n], OutcomeClass::ok, 1s);
  }
  std::uint32_t slots() { return bench.limiter.standing(EndpointId{1}, bench.now).slots; }
};

} // namespace

TEST_CASE("who refuses at once and answers others keeps its slots", "[start]") {
  Full full;
  const auto first = full.bench.ask(calls(8)).permits; // how long an answer takes is known then
  full.bench.now += 1s;
  for (const auto& permit : first) full.end(permit, OutcomeClass::ok, 1s);
  const std::uint32_t slots = full.slots();
  for (int n = 0; n < 15; ++n) full.second(10ms);
  CHECK(full.slots() >= slots);
}

TEST_CASE("who refuses after a while has too few slots", "[start]") {
  Full full;
  full.second(1s);
  const std::uint32_t slots = full.slots();
  full.second(500ms);
  full.second(500ms);
  CHECK(full.slots() < slots);
}

} // namespace full_endpoint_test
