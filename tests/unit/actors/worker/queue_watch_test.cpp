// When a worker looks at the metrics of an endpoint, and what it tells of them.
#include "actors/worker/queue_watch.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace queue_watch_test {

using namespace gristmill;
using namespace gristmill::worker;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const EndpointId a{1}, b{2};

QueuePage page_at(std::string url) {
  return {std::move(url), "", false, false};
}
// Of an endpoint that nobody named a page for.
const QueuePage looked_for{"http://a/metrics", "m", true, false};

std::string vllm(int waiting, int running, std::string_view model = "m") {
  return fmt::format("vllm:num_requests_waiting{{model_name=\"{0}\"}} {1}\n"
                     "vllm:num_requests_running{{model_name=\"{0}\"}} {2}\n",
                     model, waiting, running);
}

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
  bench.watch.call_began(a, page_at("http://a/metrics"));
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
  bench.watch.call_began(a, page_at("http://a/metrics"));
  CHECK(bench.looks() == 1);
}

TEST_CASE("there is never a second look beside the first", "[queue]") {
  Bench bench;
  for (int n = 0; n < 3; ++n) bench.watch.call_began(a, page_at("http://a/metrics"));
  bench.watch.call_began(b, page_at("http://b/metrics"));
  CHECK(bench.looks() == 2);
  bench.now += seconds{60};
  CHECK(bench.looks() == 0);
  CHECK(bench.watch.wake_at() == never);
  bench.well(b);
  CHECK(bench.looks() == 1);
}

TEST_CASE("what was read is told at once, then gathered for a tenth of a second", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, page_at("http://a/metrics"));
  bench.watch.call_began(b, page_at("http://b/metrics"));
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
  bench.watch.call_began(a, page_at("http://a/metrics"));
  bench.looks();
  bench.well(a);
  bench.watch.forget();
  CHECK(bench.watch.take(bench.now).empty());
}

TEST_CASE("a page that cannot be read is asked for ever more rarely, and told of once", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, page_at("http://a/metrics"));
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
  bench.watch.call_began(a, page_at("http://a/metrics"));
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
  bench.watch.call_began(a, page_at("http://a/metrics"));
  bench.watch.call_began(b, page_at("http://b/metrics"));
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
  bench.watch.call_began(a, page_at("http://a/metrics"));
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
  bench.watch.call_began(a, page_at("http://a/metrics"));
  CHECK_FALSE(bench.page(a, "", 404));
  CHECK(bench.watch.take(bench.now).empty());
}

TEST_CASE("a page that many look at is looked at as rarely as told", "[queue]") {
  Bench bench;
  bench.watch.pause({a, 5'000}); // of a page that is none of ours
  bench.watch.call_began(a, page_at("http://a/metrics"));
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
  bench.watch.call_began(a, page_at("http://a/metrics"));
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
  bench.watch.call_began(b, page_at("http://b/metrics"));
  bench.now += seconds{1'000};
  CHECK(bench.looks() == 1);
  CHECK(bench.watch.size() == 1);
}

TEST_CASE("while ever more calls run and none waits the page is looked at again at once",
          "[queue]") {
  Bench bench;
  bench.watch.call_began(a, page_at("http://a/metrics"));
  int running = 32;
  for (int look = 0; look < 10; ++look, running += running / 4) {
    REQUIRE(bench.looks() == 1);
    bench.page(a, vllm(0, running));
    CHECK(bench.watch.take(bench.now).size() == 1); // and told at once
    bench.watch.pause({a, 1'000});                  // for later
    CHECK(bench.watch.wake_at() == bench.now + milliseconds{15});
    bench.now += milliseconds{15};
  }
  SECTION("until somebody waits") {
    CHECK(bench.looks() == 1);
    bench.page(a, vllm(1, running));
    bench.watch.forget();
    CHECK(bench.watch.wake_at() == bench.now + seconds{1});
  }
  SECTION("or sixteen looks in a row bring no more") {
    for (int look = 0; look < 16; ++look, bench.now += milliseconds{15}) {
      CHECK(bench.looks() == 1);
      bench.page(a, vllm(0, running - running / 4));
      bench.watch.take(bench.now);
    }
    CHECK(bench.looks() == 0);
    bench.watch.forget();
    CHECK(bench.watch.wake_at() == bench.now - milliseconds{15} + seconds{1});
  }
}

TEST_CASE("while they become more in small steps, too", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, page_at("http://a/metrics"));
  for (int running = 1'000; running < 4'000; running += 30) {
    REQUIRE(bench.looks() == 1);
    bench.page(a, vllm(0, running));
    bench.now += milliseconds{15};
  }
  CHECK(bench.looks() == 1);
}

TEST_CASE("the first calls may be on their way for a while", "[queue]") {
  Bench bench;
  for (int call = 0; call < 32; ++call) bench.watch.call_began(a, page_at("http://a/metrics"));
  for (int look = 0; look < 20; ++look, bench.now += milliseconds{15}) {
    REQUIRE(bench.looks() == 1);
    bench.page(a, vllm(0, 0));
  }
  REQUIRE(bench.looks() == 1);
  bench.page(a, vllm(0, 32));
  bench.now += milliseconds{15};
  CHECK(bench.looks() == 1);
  Bench absent; // of another server, perhaps: after a second's looks only once a second
  for (int call = 0; call < 32; ++call) absent.watch.call_began(a, page_at("http://a/metrics"));
  int looks = 0;
  for (int step = 0; step < 400; ++step, absent.now += milliseconds{15})
    if (absent.looks() == 1) {
      ++looks;
      absent.page(a, vllm(0, 0));
    }
  CHECK(looks <= 80); // in six seconds
}

TEST_CASE("a page that was looked for counts where it knows the model", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, looked_for);
  REQUIRE(bench.looks() == 1);
  const auto found = bench.page(a, vllm(3, 8));
  REQUIRE(found);
  CHECK(found->name == "metrics.found");
  CHECK_FALSE(found->warning);
  CHECK(bench.watch.take(bench.now) == std::vector<protocol::QueueReport>{{a, 3, 8}});
  bench.now += seconds{1};
  REQUIRE(bench.looks() == 1);
  CHECK_FALSE(bench.page(a, vllm(3, 8))); // told once
  Bench other;
  other.watch.call_began(a, looked_for);
  REQUIRE(other.looks() == 1);
  CHECK_FALSE(other.page(a, vllm(3, 8, "another")));
  CHECK(other.watch.take(other.now).empty());
}

TEST_CASE("while there is no page it is looked for once a minute, without a word", "[queue]") {
  Bench bench;
  bench.watch.call_began(a, looked_for);
  for (const std::uint16_t status : std::initializer_list<std::uint16_t>{404, 200, 401}) {
    REQUIRE(bench.looks() == 1);
    CHECK_FALSE(bench.page(a, "nothing\n", status));
    CHECK(bench.watch.wake_at() == bench.now + seconds{60});
    bench.now += milliseconds{59'999};
    CHECK(bench.looks() == 0);
    bench.now += milliseconds{1};
  }
  REQUIRE(bench.looks() == 1);
  CHECK(bench.page(a, vllm(0, 1)));
}

TEST_CASE("one server's page of several behind an address is dropped after half a minute",
          "[queue]") {
  Bench bench;
  for (int call = 0; call < 65; ++call) bench.watch.call_began(a, looked_for);
  const auto look = [&](int running) {
    REQUIRE(bench.looks() == 1);
    auto event = bench.page(a, vllm(1, running));
    bench.watch.take(bench.now);
    bench.now += seconds{1};
    return event;
  };
  look(31); // half of 65 but one
  for (int n = 1; n < 30; ++n) CHECK_FALSE(look(31));
  SECTION("unless it shows them in between") {
    CHECK_FALSE(look(32)); // with the one that waits more than half
    for (int n = 0; n < 30; ++n) CHECK_FALSE(look(31));
  }
  const auto dropped = look(31);
  REQUIRE(dropped);
  CHECK(dropped->name == "metrics.dropped");
  CHECK(dropped->warning);
  bench.now += seconds{600};
  CHECK(bench.looks() == 0);
  CHECK(bench.watch.wake_at() == never);
}

} // namespace queue_watch_test
