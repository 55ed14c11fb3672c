// What the ends of calls say of a server: whether it is well, full or without credit, and how many
// calls it takes up.
#include "actors/rate_limiter/health/server_health.hpp"

#include <catch2/catch.hpp>

namespace server_health_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

// One call beside so many others, from its beginning to its end.
struct Server {
  ServerHealth health;
  Time now = start;

  void call(OutcomeClass cls, Duration took, std::uint32_t others = 0) {
    const ServerHealth::Begun begun = health.begun(others, now);
    now += took;
    health.ended(begun, {.cls = cls, .latency = took}, others + 1, now);
  }
  void calls(int count, OutcomeClass cls, Duration took, std::uint32_t others = 0) {
    for (int n = 0; n < count; ++n) call(cls, took, others);
  }
};

} // namespace

TEST_CASE("a call begins as one more in flight, and is measured only where that is asked for") {
  ServerHealth health;
  const ServerHealth::Begun begun = health.begun(4, start);
  CHECK(begun.at == start);
  CHECK(begun.in_flight == 5);
  CHECK(begun.flight.cohort == 0);
  CHECK_FALSE(health.takes_up());
  CHECK(health.takes_another(1'000'000));
  CHECK_FALSE(health.found_news());
}

TEST_CASE("a failure leaves nothing open where more calls were answered at once than there are") {
  Server server;
  CHECK(server.health.doubt(0) == Doubt::crowded); // it has never answered
  server.call(OutcomeClass::ok, 1s, 7);
  CHECK(server.health.doubt(7) == Doubt::none);
  CHECK(server.health.doubt(8) == Doubt::crowded);
  server.calls(8, OutcomeClass::overload, 1s);
  CHECK(server.health.doubt(0) != Doubt::none); // it is full too often
  server.calls(8, OutcomeClass::unreachable, 0s);
  CHECK(server.health.hold().is_held());
  CHECK(server.health.doubt(0) == Doubt::held);
}

TEST_CASE("a refusal at once is one of a rate, where answers take longer") {
  Server server;
  CHECK_FALSE(server.health.refuses_at_once(OutcomeClass::unavailable, 0s, server.now));
  server.calls(3, OutcomeClass::ok, 2s);
  CHECK(server.health.answer_seconds(server.now) == Approx(2).epsilon(0.1)); // old ones fade
  CHECK(server.health.refuses_at_once(OutcomeClass::unavailable, 450ms, server.now));
  CHECK_FALSE(server.health.refuses_at_once(OutcomeClass::unavailable, 501ms, server.now));
  CHECK_FALSE(server.health.refuses_at_once(OutcomeClass::gateway, 1ms, server.now));
  CHECK_FALSE(server.health.refuses_at_once(OutcomeClass::timeout, 1ms, server.now));
}

TEST_CASE("credit that is used up closes the gate, and whoever resumes has it asked at once") {
  Server server;
  server.call(OutcomeClass::quota, 1s);
  CHECK(server.health.quota().refuses(server.now));
  server.health.ask_quota_at_once();
  CHECK_FALSE(server.health.quota().refuses(server.now));
  CHECK(server.health.quota().is_closed());
}

TEST_CASE("what was found before is begun with, within what is allowed, and is no news") {
  ServerHealth health;
  health.find_concurrency(0, FoundLimit{12, false}, start);
  CHECK(health.takes_up() == 12);
  CHECK_FALSE(health.found_news());
  health.find_concurrency(4, std::nullopt, start); // it knows already
  CHECK(health.takes_up() == 12);
  health.set_most(4);
  CHECK(health.takes_up() == 4);
  CHECK(health.found_news() == FoundLimit{4, false});
  CHECK_FALSE(health.found_news()); // told once
  CHECK(health.takes_another(3));
  CHECK_FALSE(health.takes_another(4));
}

TEST_CASE(
    "a server that is full after a while takes up fewer calls, one that refuses at once not") {
  const auto [after, fewer] = GENERATE(table<Duration, bool>({{900ms, true}, {10ms, false}}));
  Server server;
  server.health.find_concurrency(0, FoundLimit{32, false}, start);
  server.calls(4, OutcomeClass::ok, 1s, 20);
  server.calls(2, OutcomeClass::unavailable, after, 20);
  CHECK((*server.health.takes_up() < 32) == fewer);
}

TEST_CASE("answers whose beginning the server knew are not compared with the others") {
  // Such an answer in between says nothing of how long calls take.
  ServerHealth mixed, alike;
  for (ServerHealth* health : {&mixed, &alike}) health->find_concurrency(0, std::nullopt, start);
  Time now = start;
  for (int n = 0; n < 400; ++n, now += 50ms) {
    for (ServerHealth* health : {&mixed, &alike}) {
      if (!health->takes_another(20)) continue;
      health->ended(health->begun(20, now), {.cls = OutcomeClass::ok, .latency = 1s}, 21, now + 1s);
    }
    if (n % 8 == 0)
      mixed.ended(mixed.begun(20, now),
                  {.cls = OutcomeClass::ok, .latency = 100ms, .from_cache = true}, 21, now + 100ms);
  }
  CHECK(mixed.takes_up() == alike.takes_up());
}

} // namespace server_health_test
