// Second calls of a job's last items: when, where, how many, and what the end of either means.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace supervisor_hedging_test {

using namespace gristmill;
using namespace gristmill::supervisor_test;
using supervisor::Hedging;

namespace {

JobSpec hedging(std::uint32_t percent) {
  JobSpec spec = spec_of();
  spec.policy.hedge_percent = percent;
  return spec;
}

// A job whose calls take 100 ms, so that patience is 200 ms, but for the last `slow` ones.
struct Tail : Bench {
  std::vector<OfferedCall> slow;

  Tail(std::uint64_t items, JobSpec its_spec) : Bench{good_lines(items), std::move(its_spec)} {}
  Tail(std::uint64_t items, std::uint64_t slow_ones, std::uint32_t percent)
      : Tail{items, hedging(percent)} {
    start_fresh();
    begin_all_but(slow_ones);
  }
  void begin_all_but(std::uint64_t slow_ones) {
    slow = take_offers();
    std::vector<OfferedCall> quick{slow.begin(), slow.end() - static_cast<long>(slow_ones)};
    slow.erase(slow.begin(), slow.end() - static_cast<long>(slow_ones));
    begin(quick);
    begin(slow);
    for (const OfferedCall& call : quick) {
      auto ended = outcome(call);
      ended.outcome.latency_us = 100'000;
      report(std::move(ended));
    }
  }
  void begin(const std::vector<OfferedCall>& calls) {
    std::vector<BegunCall> begun;
    for (const OfferedCall& call : calls) begun.push_back({call.planned.call, EndpointId{4}});
    hear(supervisor->begun(begun, now));
  }
  std::vector<OfferedCall> second_calls_after(Duration wait) {
    tick_at(now + wait);
    return take_offers();
  }
  OfferedCall second_call() {
    auto seconds = second_calls_after(200ms);
    REQUIRE(seconds.size() == 1);
    return seconds.front();
  }
};

} // namespace

TEST_CASE("the last calls get a second one elsewhere when they take far too long", "[supervisor]") {
  Tail job{100, 3, 10};
  CHECK(job.second_calls_after(199ms).empty());
  CHECK(job.supervisor->wake_at() == job.now + 1ms);
  const auto seconds = job.second_calls_after(1ms);
  REQUIRE(seconds.size() == 3);
  for (std::size_t n = 0; n < 3; ++n) {
    CHECK(seconds[n].planned.parts == job.slow[n].planned.parts);
    CHECK(seconds[n].planned.call != job.slow[n].planned.call);
    CHECK(seconds[n].failed_at == std::vector{EndpointId{4}});
  }
  CHECK(job.second_calls_after(1min).empty()); // one each
  // Whichever answers first wins, and the other is taken back.
  job.report(seconds[0], OutcomeClass::ok);
  CHECK(job.take_withdrawn() == std::vector{job.slow[0].planned.call});
  job.report(job.slow[1], OutcomeClass::ok);
  CHECK(job.take_withdrawn() == std::vector{seconds[1].planned.call});
  job.report(job.slow[0], OutcomeClass::cancelled);
  CHECK(job.last().note.late == 1);
  CHECK(job.last().lines.empty());
  job.report(seconds[2], OutcomeClass::ok);
  job.report(job.slow[2], OutcomeClass::ok); // it had answered before it heard
  CHECK(job.last().note.late == 1);
  job.write();
  CHECK(job.all_terminal);
  CHECK(job.supervisor->counts().completed == 100);
  CHECK(job.supervisor->counts().attempts == 100);
}

TEST_CASE("second calls are at most the allowed share of the items", "[supervisor]") {
  for (const auto& [percent, slow, most] :
       {std::tuple{0u, 5, 0}, std::tuple{4u, 5, 4}, std::tuple{5u, 5, 5}, std::tuple{6u, 5, 5}}) {
    INFO(percent << " %");
    Tail job{100, static_cast<std::uint64_t>(slow), percent};
    CHECK(job.second_calls_after(1s).size() == static_cast<std::size_t>(most));
    CHECK(job.second_calls_after(1min).empty());
  }
}

TEST_CASE("second calls that earlier lives of a job may have made count", "[supervisor]") {
  for (const auto& [beyond, left] : {std::pair{0u, 5u}, std::pair{3u, 2u}, std::pair{5u, 0u}}) {
    INFO(beyond << " calls beyond one an item");
    Tail job{100, hedging(5)};
    supervisor::RecoveredItems recovered;
    for (std::uint64_t item = 0; item < 10; ++item) recovered.terminal.insert(item);
    recovered.counts.completed = 10;
    recovered.counts.attempts = 10 + beyond / 2;
    recovered.counts.late = beyond - beyond / 2;
    job.start(std::move(recovered));
    job.hear(job.supervisor->grace_over(job.now));
    job.want(1'000);
    job.begin_all_but(10);
    CHECK(job.second_calls_after(1s).size() == left);
  }
}

TEST_CASE("a call is no straggler while others wait to begin or little is known", "[supervisor]") {
  SECTION("fewer than twenty answers") {
    for (const std::uint64_t known : {Hedging::answers_least - 1, Hedging::answers_least}) {
      Tail job{known + 1, 1, 100};
      CHECK(job.second_calls_after(1min).size() == (known < Hedging::answers_least ? 0 : 1));
    }
  }
  SECTION("an item that has not begun") {
    Bench bench{good_lines(30), hedging(100)};
    bench.start_fresh();
    auto calls = bench.take_offers();
    std::vector<BegunCall> begun;
    for (const OfferedCall& call : calls) begun.push_back({call.planned.call, EndpointId{4}});
    const BegunCall last = begun.back();
    begun.pop_back();
    bench.hear(bench.supervisor->begun(begun, bench.now));
    for (std::size_t n = 0; n < 25; ++n) bench.report(calls[n], OutcomeClass::ok);
    bench.tick_at(bench.now + 1min);
    CHECK(bench.take_offers().empty());
    bench.hear(bench.supervisor->begun({last}, bench.now));
    bench.tick_at(bench.now + 50ms);
    CHECK(bench.take_offers().size() == 4);
    bench.tick_at(bench.now + 50ms); // its own patience is a hundred
    CHECK(bench.take_offers().size() == 1);
  }
}

TEST_CASE("while one of two calls flies the failure of the other decides nothing", "[supervisor]") {
  Tail job{30, 1, 10};
  const OfferedCall first = job.slow.front(), second = job.second_call();
  SECTION("the second fails") {
    job.report(second, OutcomeClass::transient);
    CHECK(job.second_calls_after(1min).empty());
    job.report(first, OutcomeClass::ok);
    CHECK(job.take_withdrawn().empty());
  }
  SECTION("the first fails, then the second: one retry is used") {
    job.report(first, OutcomeClass::bad_line);
    CHECK(job.second_calls_after(1min).empty());
    job.report(second, OutcomeClass::transient);
    REQUIRE(job.last().attempts.size() == 1);
    CHECK(job.last().attempts.front().attempts == 1);
    const auto again = job.second_calls_after(1min);
    REQUIRE(again.size() == 1);
    job.report(again.front(), OutcomeClass::ok);
  }
  SECTION("the first is lost with its worker, the second given back") {
    job.hear(job.supervisor->lost({lost(first, true, true, true)}, job.now));
    CHECK(job.take_offers().empty());
    job.hear(job.supervisor->returned({lost(second, false)}, job.now));
    job.report(job.take_offer(), OutcomeClass::ok);
  }
  SECTION("a worker comes back with the first") {
    job.hear(job.supervisor->claimed({claim(29, first.planned.call.value)}, job.now));
    CHECK(job.take_withdrawn().empty());
    job.report(second, OutcomeClass::ok);
    CHECK(job.take_withdrawn() == std::vector{first.planned.call});
  }
  SECTION("a worker comes back with a third") {
    job.hear(job.supervisor->claimed({claim(29, 12'345)}, job.now));
    CHECK(job.take_withdrawn() == std::vector{first.planned.call, second.planned.call});
    auto third = job.outcome(first);
    third.outcome.call = CallId{12'345};
    job.report(third);
  }
  job.write();
  CHECK(job.all_terminal);
  CHECK(job.supervisor->counts().completed == 30);
}

TEST_CASE("a cancelled job takes back both calls of an item", "[supervisor]") {
  Tail job{30, 1, 10};
  const OfferedCall second = job.second_call();
  job.hear(job.supervisor->cancel(job.now));
  job.tick_at(job.now + 1min);
  CHECK(job.take_withdrawn() == std::vector{job.slow.front().planned.call, second.planned.call});
  job.write();
  CHECK(job.all_terminal);
}

} // namespace supervisor_hedging_test
