// Whose fault a failure is, and what its item pays: an endpoint's faults nothing, a time-out if
// others were answered meanwhile, and one item that makes an endpoint fail is found.
#include "actors/rate_limiter/health/endpoint_hold.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <set>

namespace supervisor_faults_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;
using Catch::Contains;

namespace {

JobSpec with_retries(std::uint32_t retries) {
  JobSpec spec = spec_of();
  spec.policy.retries = retries;
  return spec;
}

std::uint64_t item_of(const OfferedCall& call) {
  return call.planned.parts[0].id.item;
}

struct FaultBench : Bench {
  using Bench::Bench;

  // How a call that began a second ago ended at the endpoint.
  void fail(const OfferedCall& call, OutcomeClass cls, Doubt doubt = Doubt::none,
            std::string code = "connection_lost", EndpointId endpoint = EndpointId{1}) {
    auto reported = outcome(call, cls);
    reported.outcome.endpoint = endpoint;
    reported.outcome.code = std::move(code);
    reported.outcome.message = "it is gone";
    reported.began = now - 1s;
    reported.doubt = doubt;
    report(reported);
  }
  void answer(const OfferedCall& call, EndpointId endpoint = EndpointId{1}, Duration ago = 1s) {
    auto reported = outcome(call);
    reported.outcome.endpoint = endpoint;
    reported.began = now - ago;
    report(reported);
  }
  // The calls that are offered within so long.
  std::vector<OfferedCall> later(Duration wait = 1s) {
    tick_at(now + wait);
    return take_offers();
  }
};

} // namespace

TEST_CASE("an endpoint's fault costs an item nothing, however often it comes") {
  using enum OutcomeClass;
  const auto cls = GENERATE(overload, unreachable, unavailable, gateway);
  CAPTURE(info(cls).name);
  FaultBench bench{good_lines(1), with_retries(0)};
  bench.spec.policy.patience_s = 1'000'000;
  bench.start_fresh();
  OfferedCall call = bench.take_offer();
  for (int n = 0; n < 100; ++n) {
    bench.fail(call, cls, Doubt::held, "connect_refused");
    CHECK(bench.last().attempts.empty());
    const auto again = bench.later(1min);
    REQUIRE(again.size() == 1);
    call = again[0];
  }
  bench.answer(call);
  CHECK_FALSE(bench.lines().at(0).failed());
}

TEST_CASE("a time-out counts when another item was answered there between its begin and its end") {
  FaultBench bench{good_lines(20), with_retries(0)};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.answer(calls[0]);
  const bool meanwhile = GENERATE(false, true);
  bench.now += meanwhile ? 1s : 1s + 1ns; // it began a second before its end
  bench.fail(calls[1], OutcomeClass::timeout, Doubt::none, "timeout");
  CHECK(bench.lines().size() == (meanwhile ? 2 : 1));
}

TEST_CASE("… or within ten seconds after its end, and it fails with its own words while it waits") {
  const auto [wait, at, counts] = GENERATE(table<Duration, std::uint32_t, bool>({
      {10s - 1ns, 1, true}, {10s, 1, true}, {10s + 1ns, 1, false}, {1s, 2, false}, // elsewhere
  }));
  CAPTURE(wait.count(), at);
  FaultBench bench{good_lines(2), with_retries(0)};
  bench.start_fresh(2);
  const auto calls = bench.take_offers();
  bench.fail(calls[1], OutcomeClass::timeout, Doubt::none, "timeout");
  CHECK(bench.lines().empty());
  bench.now += wait;
  bench.answer(calls[0], EndpointId{at});
  REQUIRE(bench.lines().size() == (counts ? 2 : 1));
  if (counts) CHECK(bench.line_of(1)["error"]["message"] == "it is gone");
}

TEST_CASE("a time-out that we may have caused, or of a probe, costs nothing") {
  const Doubt doubt = GENERATE(Doubt::crowded, Doubt::held);
  FaultBench bench{good_lines(2), with_retries(0)};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.fail(calls[1], OutcomeClass::timeout, doubt, "timeout");
  bench.answer(calls[0]);
  CHECK(bench.lines().size() == 1);
}

TEST_CASE("the last items that time out pay for it, once anything was answered") {
  const bool answered = GENERATE(true, false), beside_many = GENERATE(false, true);
  FaultBench bench{good_lines(beside_many ? 20 : 2), with_retries(0)};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  if (answered) bench.answer(calls[0]);
  bench.now += 20s;
  bench.fail(calls[1], OutcomeClass::timeout, answered ? Doubt::none : Doubt::crowded, "timeout");
  CHECK((bench.lines().size() == 2) == (answered && !beside_many));
}

TEST_CASE("what an endpoint begins to refuse in mid-job is held against the endpoint") {
  const auto status = GENERATE(as<std::uint16_t>{}, 400, 403, 404);
  FaultBench bench{good_lines(100)};
  bench.start_fresh(8);
  const auto refuse = [&](const OfferedCall& call) {
    auto reported = bench.outcome(call, OutcomeClass::config);
    reported.outcome.endpoint = EndpointId{1};
    reported.outcome.http_status = status;
    reported.alternatives = 1;
    bench.report(reported);
  };
  std::vector<OfferedCall> out = bench.take_offers();
  bench.answer(out.back());
  out.pop_back();
  for (int round = 0; round < 10; ++round) { // nine seconds of refusals
    for (const auto& call : out) refuse(call);
    bench.want(8);
    out = bench.later(1s);
  }
  CHECK(bench.failure.empty());
  CHECK(bench.lines().size() == 1);
  for (int step = 0; step < 100 && !bench.all_terminal; ++step) {
    for (const auto& call : out) bench.answer(call);
    bench.write();
    bench.want(8);
    out = bench.later(1s);
  }
  CHECK(bench.supervisor->counts().completed == 100);
}

TEST_CASE("what is refused again and again while others are answered is the item's own fault") {
  FaultBench bench{good_lines(20)};
  const std::uint64_t refused = GENERATE(3, 19); // the last one, too
  bench.start_fresh(1);
  int refusals = 0;
  for (int step = 0; step < 100 && !bench.all_terminal; ++step) {
    for (const auto& call : bench.take_offers()) {
      if (item_of(call) != refused) {
        bench.answer(call);
        continue;
      }
      ++refusals;
      auto reported = bench.outcome(call, OutcomeClass::config);
      reported.outcome.endpoint = EndpointId{1};
      reported.outcome.http_status = 403;
      bench.report(reported);
    }
    bench.write();
    bench.want(1);
    bench.tick_at(bench.now + 1s);
  }
  CHECK(bench.all_terminal);
  CHECK(refusals == 4);
  CHECK(bench.supervisor->counts().completed == 19);
}

TEST_CASE("what fails by its own fault always counts") {
  using enum OutcomeClass;
  const auto cls = GENERATE(transient, bad_result);
  const Doubt doubt = GENERATE(Doubt::none, Doubt::crowded, Doubt::held);
  FaultBench bench{good_lines(1), with_retries(0)};
  bench.start_fresh();
  bench.fail(bench.take_offer(), cls, doubt, "oops");
  CHECK(bench.lines().size() == 1);
}

TEST_CASE("after an endpoint's fault fresh items go first, until something is answered") {
  FaultBench bench{good_lines(20)};
  bench.start_fresh(2);
  const auto first = bench.take_offers();
  for (const auto& call : first) bench.fail(call, OutcomeClass::unreachable);
  bench.now += 1s;
  bench.want(2);
  const auto fresh = bench.take_offers();
  REQUIRE(fresh.size() == 2);
  CHECK(item_of(fresh[0]) == 2);
  bench.answer(fresh[0]);
  bench.want(2);
  std::set<std::uint64_t> again;
  for (const auto& call : bench.take_offers()) again.insert(item_of(call));
  CHECK(again == std::set<std::uint64_t>{0, 1});
}

namespace {

// A server that dies whenever it gets the poison, and takes all calls in flight with it; for a
// while it still takes calls and loses them. It is held as EndpointHold would hold it.
struct Dying : FaultBench {
  std::uint64_t poison;
  std::vector<OfferedCall> out;
  int deaths = 0, faults = 0; // faults: calls that were lost since the last answer
  std::string history;        // how many were in flight at each death; h: it was held
  bool held = false, proved = false;
  std::size_t most_out;
  Duration down_for; // after a death
  bool straggles;    // an answer that was on its way at a death comes when the server is gone
  Time down_until{};

  Dying(std::uint64_t items, std::uint64_t its_poison, std::size_t concurrency, Duration down,
        bool straggler)
      : FaultBench{good_lines(items)}, poison{its_poison}, most_out{concurrency}, down_for{down},
        straggles{straggler} {
    start_fresh(static_cast<std::uint32_t>(2 * concurrency));
  }
  void play(int steps) {
    for (int step = 0; step < steps && !all_terminal; ++step) {
      for (auto& call : take_offers()) out.push_back(std::move(call));
      if (!out.empty()) serve();
      write();
      const auto has = static_cast<std::uint32_t>(out.size() + offered.size());
      if (has < most_out) want(static_cast<std::uint32_t>(most_out) - has);
      tick_at(now + 100ms);
    }
  }
  void serve() {
    const std::size_t flying = held ? 1 : std::min(out.size(), most_out);
    std::vector<OfferedCall> calls(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(flying));
    out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(flying));
    const bool down = now < down_until;
    const bool dies = !down && std::ranges::any_of(calls, [&](const OfferedCall& call) {
      return item_of(call) == poison;
    });
    deaths += dies;
    if (dies) down_until = now + down_for;
    if (dies) history += fmt::format(" {}{}", flying, held ? "h" : "");
    const Doubt doubt = held ? Doubt::held : proved ? Doubt::none : Doubt::crowded;
    const auto straggler = std::ranges::find_if(calls, [&](const OfferedCall& call) {
      return straggles && dies && item_of(call) != poison;
    });
    for (auto call = calls.begin(); call != calls.end(); ++call) {
      if (call == straggler) continue;
      if (dies || down)
        fail(*call, OutcomeClass::unreachable, doubt, down ? "connect_refused" : "connection_lost");
      else
        answer(*call, EndpointId{1}, 0s);
    }
    if (straggler != calls.end()) answer(*straggler);
    const bool answered = straggler != calls.end() || !(dies || down);
    faults = answered ? 0 : faults + static_cast<int>(calls.size());
    proved |= answered;
    held = faults >= (proved ? rate_limiter::EndpointHold::faults_in_a_row : 1);
  }
};

} // namespace

TEST_CASE("an item that brings its server down is found, and costs no other item its result") {
  const auto poison = GENERATE(std::uint64_t{0}, 1, 31, 32, 250, 330, 467);
  const auto concurrency = GENERATE(std::size_t{8}, 32, 128, 300);
  const auto down_for = GENERATE(Duration{0ms}, Duration{500ms}, Duration{2s});
  const bool straggler = GENERATE(false, true);
  CAPTURE(poison, concurrency, to_seconds(down_for), straggler);
  Dying bench{500, poison, concurrency, down_for, straggler};
  bench.play(3'000);
  const JobCounts counts = bench.supervisor->counts();
  CAPTURE(bench.history, bench.deaths, bench.out.size(), counts.completed, counts.failed,
          counts.retrying);
  REQUIRE(bench.all_terminal);
  CHECK(bench.supervisor->counts().completed == 499);
  CHECK(bench.supervisor->counts().failed == 1);
  CHECK(bench.deaths <= 6);
  const auto line = bench.line_of(poison);
  CHECK(line["gristmill"]["class"] == "poison");
  CHECK_THAT(line["error"]["message"].get<std::string>(),
             Contains("3 times") && Contains("it is gone"));
}

TEST_CASE("… also where all items are out at the first death") {
  const auto down_for = GENERATE(Duration{0ms}, Duration{500ms}, Duration{2s});
  const auto poison = GENERATE(std::uint64_t{0}, 100, 150);
  const bool straggler = GENERATE(false, true);
  CAPTURE(poison, to_seconds(down_for), straggler);
  Dying bench{200, poison, 300, down_for, straggler};
  bench.play(3'000);
  CAPTURE(bench.history, bench.deaths, bench.out.size(), bench.supervisor->counts().completed);
  REQUIRE(bench.all_terminal);
  CHECK(bench.deaths <= 6);
}

TEST_CASE("a gateway that answers one item with 502, and all others well, ends it as poison") {
  FaultBench bench{good_lines(100)};
  bench.start_fresh(8);
  int tried = 0;
  for (int step = 0; step < 1'000 && !bench.all_terminal; ++step) {
    for (const auto& call : bench.take_offers()) {
      if (item_of(call) == 3) {
        ++tried;
        bench.fail(call, OutcomeClass::gateway, Doubt::none, "bad_gateway");
      } else {
        bench.answer(call);
      }
    }
    bench.write();
    if (step % 2 == 0) bench.want(8);
    bench.tick_at(bench.now + 300ms);
  }
  REQUIRE(bench.all_terminal);
  CHECK(tried == 6);
  CHECK(bench.line_of(3)["gristmill"]["class"] == "poison");
  CHECK(bench.supervisor->counts().completed == 99);
}

TEST_CASE(
    "of two that bring their endpoint down the second is tried when another was answered since") {
  FaultBench bench{good_lines(100)};
  bench.start_fresh(8);
  const std::set<std::uint64_t> culprits{3, 7};
  std::map<std::uint64_t, int> tried;
  bool ended = false, other_answered = false;
  for (int step = 0; step < 2'000 && !bench.all_terminal; ++step) {
    for (const auto& call : bench.take_offers()) {
      const std::uint64_t item = item_of(call);
      if (!culprits.contains(item)) {
        bench.answer(call);
        other_answered |= ended;
        continue;
      }
      if (ended) CHECK(other_answered);
      ++tried[item];
      bench.fail(call, OutcomeClass::gateway, Doubt::none, "bad_gateway");
      ended |= !bench.line_of(item).is_null();
    }
    bench.write();
    if (step % 2 == 0) bench.want(8);
    bench.tick_at(bench.now + 300ms);
  }
  REQUIRE(bench.all_terminal);
  for (const std::uint64_t item : culprits) {
    CHECK(tried[item] == 6);
    CHECK(bench.line_of(item)["gristmill"]["class"] == "poison");
  }
  CHECK(bench.supervisor->counts().completed == 98);
}

TEST_CASE("calls that never reached their server, or were probes, make nobody go alone") {
  const bool sent = GENERATE(false, true);
  FaultBench bench{good_lines(2)};
  bench.start_fresh(1);
  OfferedCall call = bench.take_offer();
  bench.want(1);
  const OfferedCall other = bench.take_offer();
  for (int n = 0; n < 10; ++n) {
    bench.fail(call, OutcomeClass::unreachable, sent ? Doubt::held : Doubt::none,
               sent ? "connection_lost" : "connect_refused");
    bench.want(1);
    const auto again = bench.later(1min);
    REQUIRE(again.size() == 1);
    call = again[0];
  }
  bench.answer(other);
  bench.fail(call, OutcomeClass::unreachable);
  CHECK(bench.later(1min).empty()); // nobody has room
  bench.want(1);
  bench.answer(bench.take_offer());
  CHECK_FALSE(bench.lines().at(1).failed());
}

TEST_CASE("the only item that is left is tried at growing intervals when its server goes down") {
  FaultBench bench{good_lines(1)};
  bench.spec.policy.patience_s = GENERATE(0u, 3'600u);
  bench.start_fresh();
  std::vector<Duration> pauses;
  OfferedCall call = bench.take_offer();
  for (int n = 0; n < 20 && bench.failure.empty(); ++n) {
    const Time failed_at = bench.now;
    bench.fail(call, OutcomeClass::unreachable, Doubt::held);
    bench.want(1);
    if (!bench.failure.empty()) break;
    const Time due = bench.supervisor->wake_at();
    pauses.push_back(due - failed_at);
    bench.tick_at(due);
    call = bench.take_offer();
  }
  const bool unlimited = bench.spec.policy.patience_s == 0;
  CHECK(pauses.size() == (unlimited ? 19 : 20));
  CHECK(std::vector<Duration>(pauses.begin(), pauses.begin() + 8) ==
        std::vector<Duration>{1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s});
  CHECK(bench.failure.empty() != unlimited);
  if (unlimited) CHECK_THAT(bench.failure, Contains("20 times") && Contains("it is gone"));
}

TEST_CASE("a server that is loading is asked each second, also by the only item that is left") {
  FaultBench bench{good_lines(1)};
  bench.start_fresh();
  OfferedCall call = bench.take_offer();
  for (int n = 0; n < 100; ++n) {
    bench.fail(call, OutcomeClass::unavailable, Doubt::held, "unavailable");
    bench.want(1);
    const auto again = bench.later(1s);
    REQUIRE(again.size() == 1);
    call = again[0];
  }
  CHECK(bench.failure.empty());
}

} // namespace supervisor_faults_test
