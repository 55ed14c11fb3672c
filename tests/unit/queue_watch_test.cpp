// When a worker looks at the metrics of an endpoint, and what it tells of them.
#include "actors/worker/queue_watch.hpp"

#include <catch2/catch.hpp>

using namespace gristmill;
using namespace gristmill::worker;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const EndpointId a{1}, b{2};

struct Bench {
  QueueWatch watch;
  Time now = Time{} + std::chrono::hours{1};

  std::size_t looks() { return watch.due(now).size(); }
  std::optional<Event> page(EndpointId endpoint, std::string body, std::uint16_t status = 200) {
    return watch.ended({endpoint, status, std::move(body), status == 0 ? "took too long" : ""},
                       now);
  }
  std::optional<Event> well(EndpointId endpoint) {
    return page(endpoint, "tgi_queue_size 4\ntgi_batch_current_size 8\n");
  }
};

} // namespace

TEST_CASE("a page is looked at while calls are under way, once a second", "[queue]") {
  Bench bench;
  CHECK(bench.looks() == 0);
  CHECK(bench.watch.wake_at() == never);
  bench.watch.call_began(a, "http://a/metrics");
  CHECK(bench.watch.wake_at() <= bench.now);
  const auto due = bench.watch.due(bench.now);
  REQUIRE(due.size() == 1);
  CHECK(due[0].endpoint == a);
  CHECK(due[0].url == "http://a/metrics");
  CHECK(due[0].timeout == seconds{2});
  CHECK_FALSE(bench.well(a));
  bench.watch.take(bench.now);
  CHECK(bench.watch.wake_at() == bench.now + seconds{1});
  bench.now += milliseconds{999};
  CHECK(bench.looks() == 0);
  bench.now += milliseconds{1};
  CHECK(bench.looks() == 1);
  bench.well(a);
  bench.watch.call_ended(a);
  bench.now += seconds{5};
  CHECK(bench.looks() == 0);
  bench.watch.call_began(a, "http://a/metrics");
  CHECK(bench.looks() == 1);
}

TEST_CASE("there is never a second look beside the first", "[queue]") {
  Bench bench;
  for (int n = 0; n < 3; ++n) bench.watch.call_began(a, "http://a/metrics");
  bench.watch.call_began(b, "http://b/metrics");
  CHECK(bench.looks() == 2);
  bench.now += seconds{60};
  CHECK(bench.looks() == 0);
  CHECK(bench.watch.wake_at() == never);
  bench.well(b);
  CHECK(bench.looks() == 1);
}

TEST_CASE("what was read is told at once, then gathered for a tenth of a second", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, "http://a/metrics");
  bench.watch.call_began(b, "http://b/metrics");
  bench.looks();
  CHECK(bench.watch.take(bench.now).empty());
  bench.well(a);
  CHECK(bench.watch.wake_at() <= bench.now);
  const auto told = bench.watch.take(bench.now);
  REQUIRE(told.size() == 1);
  CHECK(told[0] == protocol::QueueReport{a, 4, 8});
  CHECK(bench.watch.take(bench.now).empty());
  bench.well(b);
  CHECK(bench.watch.wake_at() == bench.now + milliseconds{100});
  bench.now += milliseconds{99};
  CHECK(bench.watch.take(bench.now).empty());
  bench.now += milliseconds{1};
  CHECK(bench.watch.take(bench.now).size() == 1);
}

TEST_CASE("what nobody could be told is forgotten", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, "http://a/metrics");
  bench.looks();
  bench.well(a);
  bench.watch.forget();
  CHECK(bench.watch.take(bench.now).empty());
}

TEST_CASE("a page that cannot be read is asked for ever more rarely, and told of once", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, "http://a/metrics");
  int told = 0;
  for (const int pause : {2, 4, 8, 16, 32, 32, 32}) {
    REQUIRE(bench.looks() == 1);
    if (const auto event = bench.page(a, "", 404)) {
      ++told;
      CHECK(event->name == "metrics.unreadable");
      CHECK(event->warning);
      CHECK(event->fields[0].second == "http://a/metrics");
      CHECK(event->fields[1].second == "expected status 200, got 404");
    }
    CHECK(bench.watch.take(bench.now).empty());
    CHECK(bench.watch.wake_at() == bench.now + seconds{pause});
    bench.now += seconds{pause};
  }
  CHECK(told == 1);
  CHECK(bench.looks() == 1);
  bench.well(a);
  bench.now += seconds{1};
  CHECK(bench.looks() == 1);
}

TEST_CASE("a page that was readable is given three times", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, "http://a/metrics");
  bench.looks();
  bench.well(a);
  std::vector<bool> told;
  for (int n = 0; n < 5; ++n) {
    bench.now += seconds{60};
    REQUIRE(bench.looks() == 1);
    told.push_back(bench.page(a, "", 0).has_value());
  }
  CHECK(told == std::vector<bool>{false, false, true, false, false});
}

TEST_CASE("why a page cannot be read is said", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, "http://a/metrics");
  bench.watch.call_began(b, "http://b/metrics");
  bench.looks();
  const auto silent = bench.page(a, "", 0), foreign = bench.page(b, "up 1\n");
  REQUIRE((silent && foreign));
  CHECK(silent->fields[1].second == "took too long");
  CHECK_THAT(foreign->fields[1].second,
             Catch::Contains("expected one of vllm:num_requests_waiting") &&
                 Catch::Contains("nv_inference_pending_request_count"));
}

TEST_CASE("a page that comes late is asked for again at once, not twice", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, "http://a/metrics");
  bench.looks();
  bench.now += milliseconds{1'500};
  bench.well(a);
  bench.watch.take(bench.now);
  CHECK(bench.watch.wake_at() == bench.now);
  CHECK(bench.looks() == 1);
}

TEST_CASE("a page that nobody asked for says nothing", "[queue]") {
  Bench bench;
  CHECK_FALSE(bench.well(a));
  bench.watch.call_ended(a);
  bench.watch.call_began(a, "http://a/metrics");
  CHECK_FALSE(bench.page(a, "", 404));
  CHECK(bench.watch.take(bench.now).empty());
}

TEST_CASE("a page that many look at is looked at as rarely as told", "[queue]") {
  Bench bench;
  bench.watch.pause({a, 5'000}); // of a page that is none of ours
  bench.watch.call_began(a, "http://a/metrics");
  for (const auto& [told, every] : {std::pair{1'500u, milliseconds{1'500}},
                                    {0u, milliseconds{1'000}},
                                    {UINT32_MAX, milliseconds{60'000}}}) {
    REQUIRE(bench.looks() == 1);
    bench.well(a);
    bench.watch.take(bench.now);
    bench.watch.pause({a, told});
    CHECK(bench.watch.wake_at() == bench.now + every);
    bench.now += every;
    REQUIRE(bench.looks() == 1);
    bench.well(a); // also the next time
    bench.watch.take(bench.now);
    CHECK(bench.watch.wake_at() == bench.now + every);
    bench.now += every;
  }
}

TEST_CASE("an endpoint that has had no call for two minutes is forgotten", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, "http://a/metrics");
  CHECK(bench.looks() == 1);
  bench.well(a);
  bench.watch.call_ended(a);
  bench.now += seconds{120};
  CHECK(bench.looks() == 0);
  CHECK(bench.watch.size() == 1);
  bench.now += seconds{2};
  CHECK(bench.looks() == 0);
  CHECK(bench.watch.size() == 0);
  // One with a call stays.
  bench.watch.call_began(b, "http://b/metrics");
  bench.now += seconds{1'000};
  CHECK(bench.looks() == 1);
  CHECK(bench.watch.size() == 1);
}
