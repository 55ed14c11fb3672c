// What was found of an endpoint's calls in flight, from job to job and from life to life.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace found_limits_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

const std::string account = "endpoint:http://host-1/v1|";

std::uint32_t slots_of(const Bench& bench) {
  return bench.limiter.standing(EndpointId{1}, bench.now).slots;
}

// A burst that the server's four slots answer one after the other, two seconds for each four.
void find(Bench& bench) {
  const auto permits = bench.ask(calls(100)).permits;
  REQUIRE(permits.size() == 32);
  for (std::size_t n = 0; n < 16; ++n) {
    if (n % 4 == 0) bench.now += 2s;
    Ended ended;
    ended.attempt = permits[n].attempt;
    ended.latency = std::chrono::seconds{2 * (n / 4 + 1)};
    bench.limiter.ended(ended, bench.now);
  }
}

} // namespace

TEST_CASE("what was found is noted, and where the next life begins", "[start]") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  CHECK(bench.limiter.concurrency_notes().empty());
  find(bench);
  const std::uint32_t found = slots_of(bench);
  CHECK(found <= 8);
  const auto notes = bench.limiter.concurrency_notes();
  REQUIRE_FALSE(notes.empty());
  CHECK(notes.back().account == account);
  CHECK(notes.back().calls == found);
  CHECK_FALSE(notes.back().rising);
  CHECK(bench.limiter.concurrency_notes().empty()); // once

  Bench next;
  next.limiter.concurrency_recovered(notes);
  next.endpoint(1, {});
  next.endpoint(2, {});
  CHECK(slots_of(next) == found);
  CHECK(next.limiter.standing(EndpointId{2}, next.now).slots == ConcurrencyLimit::first);
  CHECK(next.limiter.concurrency_notes().empty()); // the journal knows
}

TEST_CASE("the next job begins with it, though nobody named the endpoint in between", "[start]") {
  Bench bench;
  bench.endpoint(1, {});
  bench.job(7, {});
  find(bench);
  const std::uint32_t found = slots_of(bench);
  bench.limiter.endpoint_gone(EndpointId{1}, bench.now);
  bench.limiter.job_closed(JobId{7});
  bench.endpoint(1, {});
  CHECK(slots_of(bench) == found);
  Bench bounded;
  bounded.limiter.concurrency_recovered({{account, 600, false}});
  bounded.endpoint(1, {0, 0, 100});
  CHECK(slots_of(bounded) == 100); // what is configured holds
}

TEST_CASE("what a worker announced is forgotten when it is gone for good", "[start]") {
  Bench bench;
  EndpointSpec spec = endpoint_at("http://gpu/v1");
  bench.offer({EndpointId{1}, "m", spec, bench.session});
  bench.job(7, {});
  find(bench);
  auto notes = bench.limiter.concurrency_notes();
  REQUIRE_FALSE(notes.empty());
  bench.limiter.endpoint_gone(EndpointId{1}, bench.now);
  notes = bench.limiter.concurrency_notes();
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].calls == 0);
}

TEST_CASE("no more than so many endpoints are remembered, the last ones", "[start]") {
  FoundLimits found;
  for (std::size_t n = 0; n <= limits::found_limits_max; ++n)
    found.heard(fmt::format("endpoint {}", n), {static_cast<std::uint32_t>(n + 1), false});
  CHECK(found.notes().size() == limits::found_limits_max + 1);
  CHECK(found.size() == limits::found_limits_max);
  CHECK_FALSE(found.of("endpoint 0"));
  CHECK(found.of("endpoint 1") == FoundLimit{2, false});
}

TEST_CASE("what is found of inputs and of calls is noted together", "[start]") {
  FoundLimits found;
  found.heard_inputs("a", 64);
  CHECK_FALSE(found.of("a"));
  CHECK(found.inputs_of("a") == 64);
  found.heard("a", {9, true});
  CHECK(found.inputs_of("a") == 64);
  CHECK(found.inputs_of("b") == 0);
  const auto notes = found.notes();
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].inputs == 64);
  CHECK_FALSE(notes[0].is_gone());
  CHECK(notes[1].calls == 9);
  CHECK(notes[1].inputs == 64);
  FoundLimits again;
  again.recovered(notes);
  CHECK(again.of("a") == FoundLimit{9, true});
  CHECK(again.inputs_of("a") == 64);
}

TEST_CASE("only what differs much is worth a note", "[start]") {
  CHECK_FALSE(is_news({110, false}, {100, false}));
  CHECK(is_news({111, false}, {100, false}));
  CHECK(is_news({90, false}, {100, false}));
  CHECK_FALSE(is_news({149, true}, {100, true})); // it rises by itself
  CHECK(is_news({150, true}, {100, true}));
  CHECK(is_news({100, true}, {100, false}));
  CHECK(is_news({1, false}, {0, true}));
}

} // namespace found_limits_test
