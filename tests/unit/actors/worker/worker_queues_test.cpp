// A worker that reads how long the queue of an endpoint is, and tells the coordinator.
#include "tests/unit/actors/worker/worker_harness.hpp"

namespace worker_queues_test {

using namespace gristmill;
using namespace gristmill::worker_test;

namespace {

constexpr auto page = "vllm:num_requests_waiting 3\nvllm:num_requests_running 32\n";

struct Watched : Scene {
  Watched() {
    metrics_url = "http://h/metrics";
    connect();
    welcome.heartbeat_ms = 2'000;
  }
  Turn read(std::uint16_t status = 200, std::string body = page) {
    return turn_of(room.read({{endpoint, status, std::move(body), ""}}, now));
  }
};

} // namespace

TEST_CASE("an endpoint's queue is read while it has calls, and told with a heartbeat", "[worker]") {
  Watched scene;
  scene.fly({1, 2});
  CHECK(scene.room.wake_at() <= scene.now);
  const Turn turn = scene.tick();
  REQUIRE(turn.effects.reads.size() == 1);
  CHECK(turn.effects.reads[0].endpoint == endpoint);
  CHECK(turn.effects.reads[0].url == "http://h/metrics");
  const auto beat = scene.read().only<Heartbeat>();
  CHECK(beat.queues == std::vector<QueueReport>{{endpoint, 3, 32}});
  CHECK(beat.in_flight == 2);
  CHECK(scene.tick_after(milliseconds{999}).effects.reads.empty());
  CHECK(scene.tick_after(milliseconds{1}).effects.reads.size() == 1);
  scene.read();
  scene.tell(Recorded{{}, {{endpoint, 3'000}}}); // others look, too
  CHECK(scene.tick_after(milliseconds{2'999}).effects.reads.empty());
  CHECK(scene.tick_after(milliseconds{1}).effects.reads.size() == 1);
  scene.answer(1);
  scene.answer(2);
  scene.read();
  for (int n = 0; n < 5; ++n) CHECK(scene.tick_after(seconds{1}).effects.reads.empty());
}

TEST_CASE("who may begin more because nobody waits asks at once", "[worker]") {
  Watched scene;
  scene.fly({1});
  const auto need = scene.give({2}).only<Need>();
  scene.tick();
  scene.tell(Wait{need.nonce, {CallId{2}}, 10'000});
  CHECK(scene.read().all<Need>().empty()); // three wait
  scene.tick_after(seconds{1});
  const Turn turn = scene.read(200, "vllm:num_requests_waiting 0\nvllm:num_requests_running 9\n");
  REQUIRE(turn.frames.size() == 1);
  CHECK(std::holds_alternative<Heartbeat>(turn.frames[0].messages[0]));
  CHECK(turn.only<Need>().calls == std::vector{CallId{2}}); // when the limit has risen
}

TEST_CASE("an endpoint without metrics, or of a job alone, is not read", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  CHECK(scene.tick().effects.reads.empty());
  Scene own;
  own.metrics_url = "http://h/metrics";
  own.pool = "";
  own.connect();
  own.fly({1});
  CHECK(own.tick().effects.reads.empty());
}

TEST_CASE("a page that nobody named is looked for at the endpoint's own origin", "[worker]") {
  Scene scene;
  scene.metrics_url = "auto";
  scene.connect();
  scene.fly({1});
  const Turn turn = scene.tick();
  REQUIRE(turn.effects.reads.size() == 1);
  CHECK(turn.effects.reads[0].url == "http://h/metrics"); // of http://h/v1
  CHECK(turn.effects.reads[0].bytes_max == 1 << 20);
  CHECK_FALSE(turn.effects.reads[0].in_our_network);
}

TEST_CASE("of a job's own endpoint a user's command looks for a page in its network", "[worker]") {
  worker::Options options = plain_options();
  options.reads_pages_of_jobs = true;
  Scene scene{options};
  scene.pool = "";
  scene.connect();
  scene.fly({1});
  const Turn turn = scene.tick();
  REQUIRE(turn.effects.reads.size() == 1);
  CHECK(turn.effects.reads[0].url == "http://h/metrics");
  CHECK(turn.effects.reads[0].in_our_network);
}

TEST_CASE("an unreadable page is told to the log, not to the coordinator", "[worker]") {
  Watched scene;
  scene.fly({1});
  scene.tick();
  const Turn turn = scene.read(404, "");
  CHECK(turn.frames.empty());
  REQUIRE(turn.effects.events.size() == 1);
  CHECK(turn.effects.events[0].name == "metrics.unreadable");
}

TEST_CASE("what was read while there is no session is not told later", "[worker]") {
  Watched scene;
  scene.fly({1});
  scene.tick();
  scene.link_down();
  CHECK(scene.read().frames.empty());
  scene.link_up();
  scene.greet();
  for (const auto& beat : scene.tick().all<Heartbeat>()) CHECK(beat.queues.empty());
}

} // namespace worker_queues_test
