// Endpoints and jobs without credit: when they are asked again.
#include "actors/jobs/probe_wait.hpp"
#include "actors/rate_limiter/health/quota_gate.hpp"
#include "actors/supervisor/verdict/quota_watch.hpp"

#include <catch2/catch.hpp>

namespace quota_test {

using namespace gristmill;
using namespace std::chrono_literals;
using jobs::ProbeWait;
using rate_limiter::QuotaGate;
using supervisor::QuotaWatch;

namespace {
constexpr Time begin{1h};
} // namespace

TEST_CASE("An endpoint without credit is asked by one call after a growing time", "[quota]") {
  QuotaGate gate;
  CHECK_FALSE(gate.refuses(begin));
  gate.begun();
  gate.ended(OutcomeClass::quota, begin, begin + 1s);
  Time now = begin + 1s;
  for (const Duration wait : {5s, 10s, 20s}) {
    CHECK(gate.refuses(now + wait - 1ns) == now + wait);
    CHECK_FALSE(gate.refuses(now + wait));
    now += wait;
    gate.begun();
    CHECK(gate.refuses(now)); // one at a time
    gate.ended(OutcomeClass::quota, now, now);
  }
  for (int n = 0; n < 20; ++n) {
    now = *gate.refuses(now);
    gate.begun();
    gate.ended(OutcomeClass::quota, now, now);
  }
  CHECK(gate.refuses(now) == now + 10min);
}

TEST_CASE("What began before the refusal says nothing new, an answer opens the gate", "[quota]") {
  QuotaGate gate;
  gate.ended(OutcomeClass::quota, begin, begin + 1s);
  gate.ended(OutcomeClass::quota, begin, begin + 2s);
  CHECK(gate.refuses(begin + 2s) == begin + 6s);
  gate.ended(OutcomeClass::rate, begin, begin + 3s);
  CHECK(gate.refuses(begin + 3s));
  gate.ended(OutcomeClass::ok, begin, begin + 4s);
  CHECK_FALSE(gate.refuses(begin + 4s));
  gate.ended(OutcomeClass::quota, begin + 5s, begin + 5s);
  CHECK(gate.refuses(begin + 5s) == begin + 10s); // it begins anew
}

TEST_CASE("Whoever resumes has it asked at once, and a probe that says nothing is followed by one",
          "[quota]") {
  QuotaGate gate;
  gate.ended(OutcomeClass::quota, begin, begin);
  gate.ask_at_once();
  CHECK_FALSE(gate.refuses(begin));
  gate.begun();
  CHECK(gate.refuses(begin + 1s));
  gate.ended(OutcomeClass::transient, begin + 1s, begin + 2s);
  CHECK_FALSE(gate.refuses(begin + 2s));
}

TEST_CASE("A job pauses when every endpoint of its calls says that its account is used up",
          "[quota]") {
  QuotaWatch watch;
  const EndpointId a{1}, b{2};
  CHECK_FALSE(watch.used_up(a, "http://a/v1", "why", 2));
  const auto stop = watch.used_up(b, "http://b/v1", "why", 2);
  REQUIRE(stop);
  CHECK(stop->state == JobState::paused);
  CHECK(stop->reason == JobReason::quota);
  CHECK(stop->sentence.find("http://b/v1") != std::string::npos);
  watch.resumed();
  CHECK_FALSE(watch.used_up(a, "http://a/v1", "why", 2));
  watch.answered(b);
  CHECK_FALSE(watch.used_up(a, "http://a/v1", "why", 1)); // another still answers
  CHECK(watch.used_up(b, "http://b/v1", "why", 2));
}

TEST_CASE("A job without credit goes on now and then, less and less often", "[quota]") {
  ProbeWait wait;
  const JobId job{7};
  Time now = begin;
  for (const Duration length : {5s, 10s, 20s}) {
    wait.paused(job, JobReason::quota, now);
    CHECK(wait.due(now + length - 1ns).empty());
    CHECK(wait.due(now + length) == std::vector{job});
    CHECK(wait.due(now + length).empty());
    now += length + 1s;
  }
  now += ProbeWait::soon; // it was answered for a while
  wait.paused(job, JobReason::quota, now);
  CHECK(wait.due(now + 5s) == std::vector{job});
}

TEST_CASE("A job whose endpoints are away goes on once a minute, however often it was in vain",
          "[quota]") {
  ProbeWait wait;
  const JobId job{7};
  Time now = begin;
  for (int probe = 0; probe < 5; ++probe) {
    wait.paused(job, JobReason::endpoint, now);
    CHECK(wait.due(now + 60s - 1ns).empty());
    CHECK(wait.due(now + 60s) == std::vector{job});
    now += 61s;
  }
}

} // namespace quota_test
