// Since when nothing of a job is answered, and when its patience is over.
#include "actors/supervisor/verdict/outage.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace outage_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;
using Catch::Contains;

namespace {

constexpr Time begin{1h};

LastWords loading() {
  LastWords words;
  words.cls = OutcomeClass::unavailable;
  words.http_status = 503;
  words.code = "unavailable_error";
  words.message = "Loading model";
  words.endpoint = "http://a";
  return words;
}

struct LateBench : Bench {
  using Bench::Bench;
  void fails(const OfferedCall& call, OutcomeClass cls = OutcomeClass::unavailable) {
    auto reported = outcome(call, cls);
    reported.outcome.http_status = 503;
    reported.outcome.message = "Loading model";
    reported.began = now;
    reported.doubt = Doubt::held;
    report(reported);
  }
  OfferedCall next() {
    want(1);
    tick_at(now + 1s);
    return take_offer();
  }
};

} // namespace

TEST_CASE("an outage begins with the first call that failed, and ends with an answer") {
  Outage outage{0s};
  CHECK_FALSE(outage.since(begin));
  outage.failed(loading(), begin);
  outage.failed(loading(), begin + 500ms);
  CHECK_FALSE(outage.since(begin + 1s - 1ns)); // worth no word yet
  CHECK(outage.since(begin + 1s) == begin);
  CHECK(outage.what() == "HTTP 503 unavailable_error: Loading model");
  CHECK_FALSE(outage.over(begin + 24h * 365));
  outage.ended();
  CHECK_FALSE(outage.since(begin + 1h));
}

TEST_CASE("patience is over when it is, and not before") {
  Outage outage{10s};
  outage.failed(loading(), begin);
  CHECK_FALSE(outage.over(begin + 10s - 1ns));
  const auto stop = outage.over(begin + 10s);
  REQUIRE(stop);
  CHECK(stop->state == JobState::paused);
  CHECK(stop->reason == JobReason::endpoint);
  CHECK_THAT(stop->sentence, Contains("http://a has answered nothing for 10 s (--patience 10)") &&
                                 Contains("HTTP 503 unavailable_error: Loading model"));
}

TEST_CASE("what was waited before a restart counts on") {
  Outage outage{10s};
  outage.goes_on(9s, begin);
  CHECK(outage.since(begin) == begin - 9s);
  outage.failed(loading(), begin);
  CHECK_FALSE(outage.over(begin + 1s - 1ns));
  CHECK(outage.over(begin + 1s));
}

TEST_CASE("a provider's limits are no outage, unless nothing goes for a minute") {
  Outage outage{0s};
  LastWords words = loading();
  words.cls = OutcomeClass::rate;
  outage.failed(words, begin);
  CHECK_FALSE(outage.since(begin + 60s - 1ns));
  CHECK(outage.since(begin + 60s));
}

TEST_CASE("a job whose endpoint does not answer says so in its words, and pauses in the end") {
  LateBench bench{good_lines(5)};
  bench.spec.policy.patience_s = 10;
  bench.start_fresh(1);
  const Time since = bench.now;
  bench.fails(bench.take_offer());
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
  bench.fails(bench.next());
  const WaitReason why = bench.supervisor->why_waiting(bench.now);
  CHECK(why.kind == WaitKind::endpoint);
  CHECK(why.endpoint == "http://a");
  CHECK(why.since == since);
  CHECK_THAT(why.because, Contains("HTTP 503") && Contains("Loading model"));
  while (bench.now < since + 9s) bench.fails(bench.next());
  CHECK(bench.failure.empty());
  CHECK(bench.supervisor->wake_at() <= since + 10s);
  bench.tick_at(since + 10s);
  CHECK_THAT(bench.failure, Contains("--patience 10"));
  // To see whether it is over the job goes on, and pauses at once if it is not.
  bench.failure.clear();
  bench.hear(bench.supervisor->resume(bench.now + 1min, true));
  bench.now += 1min;
  CHECK(bench.failure.empty());
  bench.fails(bench.next());
  CHECK_FALSE(bench.failure.empty());
  // Whoever resumes it has patience anew.
  bench.failure.clear();
  bench.hear(bench.supervisor->resume(bench.now));
  bench.fails(bench.next());
  CHECK(bench.failure.empty());
  bench.report(bench.next(), OutcomeClass::ok);
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
}

} // namespace outage_test
