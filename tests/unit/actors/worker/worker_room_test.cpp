// WORKER and its session: Hello, Welcome, Refused, frames that are not for it, heartbeats.
#include "tests/unit/actors/worker/worker_harness.hpp"

#include "actors/kit/defaults.hpp"

namespace worker_room_test {

using namespace gristmill;
using namespace gristmill::worker_test;

TEST_CASE("A worker says Hello as soon as its link is up, and who it is", "[worker]") {
  auto options = plain_options();
  options.endpoints.push_back({"m", {"http://gpu/v1", "", "", 0, 0, 0}});
  Scene scene{options};
  const auto turn = scene.link_up();
  const Hello hello = turn.only<Hello>();
  CHECK(hello.cluster == "c");
  CHECK(hello.name == "w");
  CHECK(hello.process == Nonce{99});
  CHECK(hello.capacity == options.capacity);
  CHECK(hello.endpoints == options.endpoints);
  CHECK(hello.in_flight.empty());
  CHECK(hello.outbox.empty());
  CHECK(hello.held.empty());
  CHECK(turn.frames.front().epoch == Epoch{});
  CHECK_FALSE(turn.effects.welcome);
  CHECK(scene.greet().effects.welcome);
}

TEST_CASE("A Hello lists all that the worker holds, makes and keeps", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2, 3});
  scene.give({4, 5});
  scene.answer(2);
  scene.link_down();
  const auto turn = scene.link_up();
  const Hello hello = turn.only<Hello>();
  const auto claim = [](std::uint64_t n) {
    return Claim{CallId{n}, attempt(n), {{JobId{1}, n, 0}}, endpoint};
  };
  CHECK(hello.in_flight == std::vector<Claim>{claim(1), claim(3)});
  CHECK(hello.outbox == std::vector<Claim>{claim(2)});
  CHECK(hello.held == ids({4, 5}));
  CHECK(turn.frames.front().epoch == epoch); // the life that it knew
}

TEST_CASE("A Hello that nobody answers is said again, an answered one is not", "[worker]") {
  Scene scene;
  scene.link_up();
  CHECK(scene.tick_after(seconds{1}).frames.empty());
  const Time due = scene.room.wake_at();
  CHECK(due > scene.now);
  scene.now = due;
  CHECK(scene.tick().has<Hello>());
  scene.greet();
  CHECK_FALSE(scene.tick_after(seconds{10}).has<Hello>());
}

// Each Hello takes the place of the one before, whose Welcome then never comes.
TEST_CASE("Hellos follow each other more and more slowly: a slow journal answers one of them",
          "[worker]") {
  Scene scene;
  scene.link_up();
  std::vector<Duration> waits;
  for (int n = 0; n < 7; ++n) {
    const Time due = scene.room.wake_at();
    waits.push_back(due - scene.now);
    scene.now = due - std::chrono::nanoseconds{1};
    CHECK_FALSE(scene.tick().has<Hello>());
    scene.now = due;
    CHECK(scene.tick().has<Hello>());
  }
  CHECK(waits == std::vector<Duration>{seconds{2}, seconds{4}, seconds{8}, seconds{16}, seconds{32},
                                       seconds{32}, seconds{32}});
  scene.greet();
  scene.link_down();
  scene.link_up();
  CHECK(scene.room.wake_at() == scene.now + seconds{2});
}

TEST_CASE("The Welcome says what goes on: the rest is dropped", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2});
  scene.give({3, 4});
  scene.answer(2);
  scene.link_down();
  scene.link_up();
  scene.welcome.drop_attempts = {attempt(1), attempt(2), attempt(77)};
  scene.welcome.keep_held = ids({4});
  const auto turn = scene.greet();
  CHECK(turn.effects.aborts == std::vector<AttemptId>{attempt(1)});
  CHECK_FALSE(turn.has<Outcomes>());
  CHECK(scene.room.unrecorded() == 0);
  CHECK(turn.only<Need>().calls == ids({4}));
  // The aborted call is a call until it has ended.
  CHECK(scene.room.in_flight() == 1);
  CHECK(outcome_of(scene.end(1, CallEnd::aborted)).cls == OutcomeClass::cancelled);
}

TEST_CASE("What the Welcome does not drop goes on, and the outbox is sent again", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2});
  const Outcome kept = outcome_of(scene.answer(2));
  scene.link_down();
  CHECK_FALSE(scene.answer(1).has<Outcomes>()); // ends while nobody hears it
  scene.link_up();
  const auto turn = scene.greet();
  CHECK(turn.effects.aborts.empty());
  const auto again = turn.only<Outcomes>().outcomes;
  REQUIRE(again.size() == 2);
  CHECK(again[0].attempt == attempt(1));
  CHECK(again[1] == kept);
}

TEST_CASE("A call that is not sent after all while a Hello is on its way is returned later",
          "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2, 3});
  scene.link_down();
  CHECK(scene.end(1, CallEnd::unstarted).frames.empty());
  CHECK(scene.link_up().only<Hello>().in_flight.size() == 2); // it does not list the first
  CHECK(scene.end(2, CallEnd::unstarted).frames.empty());
  const auto entry = [](std::uint64_t n) {
    return std::vector<Returned::Entry>{{CallId{n}, attempt(n)}};
  };
  SECTION("by the Welcome of that Hello") {
    CHECK(scene.greet().only<Returned>().calls == entry(2));
    CHECK(scene.end(3, CallEnd::unstarted).only<Returned>().calls == entry(3));
  }
  SECTION("or by a Hello that does not list it any more") {
    scene.link_down();
    CHECK(scene.link_up().only<Hello>().in_flight.size() == 1);
    CHECK_FALSE(scene.greet().has<Returned>());
  }
}

TEST_CASE("A worker without a session is silent", "[worker]") {
  Scene scene;
  CHECK(scene.tick_after(seconds{60}).frames.empty());
  scene.connect();
  scene.fly({1});
  scene.link_down();
  CHECK(scene.answer(1).frames.empty());
  CHECK(scene.tick_after(seconds{60}).frames.empty());
  scene.link_up();
  // Greeting: nothing but Hello until the Welcome.
  for (const Frame& frame : scene.tick_after(seconds{60}).frames)
    CHECK(name_of(frame.messages[0]) == "Hello");
}

TEST_CASE("Frames of an older epoch, of another session and old ones are dropped", "[worker]") {
  Scene scene;
  scene.connect();
  scene.give({1});
  const SessionId before{scene.session().value - 1};
  const Cancel cancel{ids({1})};
  const Frame foreign = GENERATE_COPY(
      Frame{{version_max, Epoch{epoch.value - 1}, scene.session(), 4, 0}, {cancel}},
      Frame{{version_max, Epoch{epoch.value - 1}, {}, 0, 0}, {Refused{RefusedCode::resync, "old"}}},
      Frame{{version_max, epoch, before, 4, 0}, {cancel}},
      Frame{{version_max, epoch, scene.session(), 3, 0}, {cancel}}, // told already
      Frame{{version_max, epoch, scene.session(), 1, 0}, {Welcome{}}});
  const auto turn = scene.tell_raw(foreign);
  CHECK(turn.frames.empty());
  CHECK_FALSE(turn.effects.welcome);
  scene.link_down();
  CHECK(scene.link_up().only<Hello>().held == ids({1})); // the Cancel was not heard
}

TEST_CASE("Bytes that are no frame are logged and change nothing", "[worker]") {
  Scene scene;
  scene.connect();
  const auto effects = scene.room.received("rubbish", scene.now);
  CHECK(effects.frames.empty());
  REQUIRE(effects.events.size() == 1);
  CHECK(effects.events.front().name == "frame.bad");
  CHECK(scene.give({1}).has<Need>());
}

TEST_CASE("A gap in the coordinator's numbers leads to one Hello", "[worker]") {
  Scene scene;
  scene.connect();
  scene.give({1});
  const auto turn = scene.tell_raw({{version_max, epoch, scene.session(), 9, 0}, {Recorded{}}});
  CHECK(turn.only<Hello>().held == ids({1}));
  // What follows in the broken session is of no use.
  CHECK(
      scene.tell_raw({{version_max, epoch, scene.session(), 10, 0}, {Recorded{}}}).frames.empty());
  scene.welcome.keep_held = ids({1});
  CHECK(scene.greet().only<Need>().calls == ids({1}));
}

TEST_CASE("Refused no_session or resync makes a worker say Hello, once", "[worker]") {
  const auto code = GENERATE(RefusedCode::no_session, RefusedCode::resync);
  Scene scene;
  scene.connect();
  scene.fly({1});
  const auto turn = scene.refuse(code);
  CHECK(turn.only<Hello>().in_flight.size() == 1);
  CHECK(turn.effects.refused.empty());
  REQUIRE(turn.effects.events.size() == 1);
  CHECK(turn.effects.events.front().name == "session.refused");
  CHECK(scene.refuse(code).frames.empty()); // of a frame that was sent before the Hello
  CHECK(scene.greet().effects.welcome);
  CHECK(scene.room.in_flight() == 1);
}

TEST_CASE("Another version or cluster is final, and its sentence is told", "[worker]") {
  const auto code = GENERATE(RefusedCode::version, RefusedCode::cluster);
  Scene scene;
  scene.link_up();
  const auto turn = scene.refuse(code);
  CHECK(turn.effects.refused == "a sentence");
  REQUIRE(turn.effects.events.size() == 1);
  CHECK(turn.effects.events.front().name == "session.refused");
  CHECK(turn.frames.empty());
  CHECK(scene.tick_after(seconds{60}).frames.empty());
  CHECK(scene.room.wake_at() == never);
}

TEST_CASE("A restarted coordinator's Welcome begins its epoch", "[worker]") {
  Scene scene;
  scene.connect();
  scene.link_down();
  scene.link_up();
  const Epoch next{epoch.value + 1};
  const SessionId session{std::uint64_t{next.value} << 32 | 1};
  Welcome welcome;
  welcome.outcome_window_bytes = 1;
  const auto effects =
      scene.room.received(encode({{version_max, next, session, 1, 0}, {welcome}}), scene.now);
  CHECK(effects.welcome);
  const auto beat = scene.room.tick(scene.now + seconds{60});
  REQUIRE(beat.frames.size() == 1);
  const auto frame = decode(beat.frames.front(), Direction::from_worker);
  REQUIRE(frame);
  CHECK(frame->epoch == next);
  CHECK(frame->session == session);
  CHECK(frame->seq == 1);
  CHECK(frame->ack == 1);
}

TEST_CASE("A heartbeat comes with each interval of the Welcome and says what the worker has",
          "[worker]") {
  Scene scene;
  scene.welcome.heartbeat_ms = 700;
  scene.connect();
  CHECK(scene.room.wake_at() == scene.now + milliseconds{700});
  scene.fly({1, 2});
  scene.give({3});
  scene.answer(2);
  CHECK_FALSE(scene.tick_after(milliseconds{699}).has<Heartbeat>());
  const auto turn = scene.tick_after(milliseconds{1});
  const auto beat = turn.only<Heartbeat>();
  CHECK(beat.capacity == plain_options().capacity);
  CHECK(beat.in_flight == 1);
  CHECK(beat.held == 1);
  CHECK_FALSE(scene.tick_after(milliseconds{699}).has<Heartbeat>());
  CHECK(scene.tick_after(milliseconds{1}).has<Heartbeat>());
}

TEST_CASE("The same reason for being down is told once", "[worker]") {
  Scene scene;
  CHECK(scene.link_down().effects.events.size() == 1);
  CHECK(scene.link_down().effects.events.empty());
  CHECK(scene.room.link_down("another", scene.now).events.size() == 1);
  scene.connect();
  CHECK(scene.link_down().effects.events.size() == 1);
}

} // namespace worker_room_test
