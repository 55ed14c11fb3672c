// WORKER and its end: what a drain returns, finishes, and waits for.
#include "tests/unit/actors/worker/worker_harness.hpp"

namespace worker_drain_test {

using namespace gristmill;
using namespace gristmill::worker_test;

TEST_CASE("A worker with nothing to do is drained at once", "[worker]") {
  Scene scene;
  scene.connect();
  const auto turn = scene.drain();
  CHECK(turn.has<Goodbye>());
  CHECK(turn.effects.finished);
  CHECK_FALSE(scene.drain().effects.finished); // told once
}

TEST_CASE("A drain returns what is held, finishes what flies, empties the outbox, says Goodbye",
          "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2});
  scene.give({3, 4, 5});
  const auto turn = scene.drain();
  const auto returned = turn.only<Returned>();
  CHECK_FALSE(returned.keeps_calls);
  CHECK(returned.calls == std::vector<Returned::Entry>{{CallId{3}, AttemptId{}},
                                                       {CallId{4}, AttemptId{}},
                                                       {CallId{5}, AttemptId{}}});
  const auto beat = turn.only<Heartbeat>();
  CHECK(beat.capacity == Capacity{});
  CHECK(beat.in_flight == 2);
  CHECK(beat.held == 0);
  CHECK(turn.effects.aborts.empty());
  CHECK_FALSE(turn.effects.finished);

  scene.answer(1);
  CHECK_FALSE(scene.tell(Recorded{{attempt(1)}}).effects.finished); // one still flies
  CHECK_FALSE(scene.answer(2).effects.finished);                    // one is not recorded
  const auto end = scene.tell(Recorded{{attempt(2)}});
  CHECK(end.effects.finished);
  CHECK(end.has<Goodbye>());
}

TEST_CASE("The coordinator's Drain is a drain too", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  scene.give({2});
  CHECK(scene.tell(Drain{}).only<Returned>().calls.size() == 1);
  scene.answer(1);
  CHECK(scene.tell(Recorded{{attempt(1)}}).effects.finished);
}

TEST_CASE("A draining worker asks for nothing and starts nothing", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  const Nonce nonce = scene.give({2}).only<Need>().nonce;
  scene.drain();
  // The permit crossed the drain: neither it nor its call stays here.
  const auto turn = scene.permit(nonce, {2}, GENERATE(0u, 250u));
  CHECK(turn.effects.starts.empty());
  CHECK(turn.only<Returned>().calls == std::vector<Returned::Entry>{{CallId{2}, attempt(2)}});
  CHECK_FALSE(turn.only<Returned>().keeps_calls);
  CHECK_FALSE(scene.tick_after(seconds{1}).has<Need>());
}

TEST_CASE("Calls that cross a drain are returned at once", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  scene.drain();
  const auto turn = scene.give({2, 3});
  CHECK_FALSE(turn.has<Need>());
  CHECK(turn.only<Returned>().calls ==
        std::vector<Returned::Entry>{{CallId{2}, AttemptId{}}, {CallId{3}, AttemptId{}}});
}

TEST_CASE("A drain that began without a connection returns what is held when it is back",
          "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  scene.give({2});
  scene.link_down();
  CHECK(scene.drain().frames.empty());
  const Hello hello = scene.link_up().only<Hello>();
  CHECK(hello.capacity == Capacity{});
  CHECK(hello.held == ids({2}));
  scene.welcome.keep_held = ids({2});
  const auto turn = scene.greet();
  CHECK(turn.only<Returned>().calls == std::vector<Returned::Entry>{{CallId{2}, AttemptId{}}});
  scene.answer(1);
  CHECK(scene.tell(Recorded{{attempt(1)}}).effects.finished);
}

TEST_CASE("A drain waits for the link, because only a record ends it", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  scene.drain();
  scene.link_down();
  CHECK_FALSE(scene.answer(1).effects.finished);
  scene.link_up();
  CHECK(outcome_of(scene.greet()).attempt == attempt(1));
  CHECK(scene.tell(Recorded{{attempt(1)}}).effects.finished);
}

TEST_CASE("Without a connection and with nothing to finish a drain ends at once", "[worker]") {
  Scene scene;
  const auto turn = scene.drain();
  CHECK(turn.effects.finished);
  CHECK(turn.frames.empty());
}

TEST_CASE("A drain ends when its time is over, whatever is missing", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2});
  scene.answer(1);
  scene.drain();
  CHECK_FALSE(scene.tick_after(seconds{25} - milliseconds{1}).effects.finished);
  const auto turn = scene.tick_after(milliseconds{1});
  CHECK(turn.effects.finished);
  CHECK(turn.has<Goodbye>());
  // What comes later ends nothing a second time.
  CHECK_FALSE(scene.tick_after(seconds{25}).effects.finished);
  CHECK_FALSE(scene.room.ended({Scene::answered(2)}, scene.unix_now, scene.now).finished);
}

TEST_CASE("A draining worker sleeps although calls of its were waiting", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  const Nonce nonce = scene.give({2}).only<Need>().nonce;
  scene.tell(Wait{nonce, ids({2}), 300});
  const bool connected = GENERATE(true, false);
  if (!connected) scene.link_down();
  scene.drain();
  if (!connected) {
    scene.link_up();
    scene.welcome.keep_held = ids({2});
    scene.greet();
  }
  for (int i = 0; i < 3; ++i) scene.tick_after(seconds{1}); // each must sleep until later
  CHECK(scene.room.in_flight() == 1);
}

} // namespace worker_drain_test
