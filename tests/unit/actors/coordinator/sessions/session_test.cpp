// One worker's books.
#include "actors/coordinator/sessions/session.hpp"

#include "actors/kit/defaults.hpp"
#include "protocol/node/codec.hpp"

#include <catch2/catch.hpp>

namespace session_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

Assigned held(std::size_t bytes) {
  Assigned assigned;
  assigned.job = JobId{7};
  assigned.bytes = bytes;
  return assigned;
}

protocol::Frame read(const OutgoingFrame& frame) {
  auto read = protocol::decode(frame.bytes, protocol::Direction::from_coordinator);
  REQUIRE(read);
  return *read;
}

} // namespace

TEST_CASE("a session counts what it lists: held calls with their bytes, and calls in flight") {
  Session session{Epoch{1}};
  session.give(CallId{1}, held(100));
  session.give(CallId{2}, held(10));
  session.give(CallId{2}, held(10));
  CHECK(session.calls.held() == 2);
  CHECK(session.calls.held_bytes() == 110);
  session.calls.permit(CallId{1}, AttemptId{5}, EndpointId{3});
  CHECK(session.calls.held() == 1);
  CHECK(session.calls.in_flight() == 1);
  CHECK(session.calls.held_bytes() == 10);
  CHECK(session.calls.find(CallId{1})->endpoint == EndpointId{3});
  session.calls.unpermit(CallId{1});
  CHECK(session.calls.held_bytes() == 110);
  CHECK(session.calls.in_flight() == 0);
  CHECK(session.calls.take(CallId{1}).bytes == 100);
  session.calls.take(CallId{2});
  CHECK(session.calls.held() == 0);
  CHECK(session.calls.held_bytes() == 0);
  CHECK(session.calls.find(CallId{2}) == nullptr);
  CHECK(session.calls.invariant());
}

TEST_CASE("a session counts the calls that it holds by job, and by stream") {
  Session session{Epoch{1}};
  const auto give = [&](std::uint64_t call, std::uint32_t job, std::uint32_t stream) {
    Assigned assigned = held(10);
    assigned.job = JobId{job};
    assigned.parts = {{JobId{job}, call, PartNumber{stream}.value()}};
    session.give(CallId{call}, assigned);
  };
  const StreamId first{JobId{7}, 0}, last{JobId{7}, 63};
  give(1, 6, 63);
  give(2, 7, 0);
  give(3, 7, 63);
  give(4, 7, 63);
  give(5, 8, 0);
  CHECK(session.calls.held_of(JobId{7}) == 3);
  CHECK(session.calls.held_of(first) == 1);
  CHECK(session.calls.held_of(last) == 2);
  CHECK(session.calls.held_bytes_of(last) == 20);
  CHECK(session.calls.held_bytes_of(StreamId{JobId{7}, 1}) == 0);
  CHECK(session.calls.held_of(StreamId{JobId{7}, 1}) == 0);
  CHECK(session.calls.held_of(JobId{9}) == 0);
  session.calls.permit(CallId{3}, AttemptId{3}, EndpointId{3});
  CHECK(session.calls.held_of(last) == 1);
  CHECK(session.calls.held_bytes_of(last) == 10);
  session.calls.take(CallId{2});
  CHECK(session.calls.held_of(first) == 0);
  CHECK(session.calls.held_of(JobId{7}) == 1);
  CHECK(session.calls.invariant());
}

TEST_CASE("a session's counts hold after whatever happens to its calls") {
  Session session{Epoch{1}};
  session.begin(SessionId{1}, "peer", "user", protocol::Hello{}, start);
  session.durable(start);
  const auto holds = [&](const char* what) {
    CAPTURE(what);
    CHECK(session.calls.counts_fit());
    CHECK(session.calls.invariant());
  };
  for (std::uint64_t n = 1; n <= 9; ++n) session.feed(CallId{n}, held(n), start);
  holds("given");
  for (std::uint64_t n = 1; n <= 4; ++n) {
    session.calls.permit(CallId{n}, AttemptId{n}, EndpointId{3});
    session.calls.expect_end(CallId{n}, n * 1s, start);
  }
  holds("permitted");
  CHECK(session.calls.give_up_overdue(start + 2s).size() == 2);
  CHECK(session.calls.overdue() == 2);
  CHECK_FALSE(session.withdraw(CallId{1}));
  holds("given up");
  CHECK(session.withdraw(CallId{3}));
  CHECK(session.withdraw(CallId{5}));
  CHECK(session.calls.find(CallId{3})->withdrawn);
  CHECK(session.calls.find(CallId{5}) == nullptr);
  holds("withdrawn");
  CHECK(session.take_back({{{CallId{4}, AttemptId{4}}}, true}, start).unused.size() == 1);
  CHECK(session.calls.held() == 5);
  holds("returned");
  CHECK(session.rest(Trial::until_it_asks, start).size() == 5);
  holds("at rest");
  CHECK(session.take_all(JobId{7}).size() == 3);
  CHECK(session.calls.size() == 0);
  holds("closed");
}

TEST_CASE(
    "a session says nothing before it is durable, and in pieces what is too long for a frame") {
  Session session{Epoch{1}};
  session.begin(SessionId{1}, "peer", "user", protocol::Hello{}, start);
  session.say(protocol::Recorded{}, start);
  CHECK(session.leave().empty());
  session.durable(start);
  session.say(protocol::Recorded{}, start);
  session.say(protocol::Recorded{}, start);
  CHECK(session.leave().size() == 1);
  session.say_cancelled({}, start);
  CHECK(session.leave().empty());
  session.say_cancelled(std::vector<CallId>(20'000, CallId{1}), start);
  const auto frames = session.leave();
  REQUIRE(frames.size() == 1);
  CHECK(read(frames[0]).messages.size() == 3);
  session.say(protocol::Recorded{}, start);
  session.connection_closed(start);
  CHECK(session.leave().empty());
  session.say(protocol::Recorded{}, start);
  CHECK(session.leave().empty());
}

TEST_CASE("what is said aside leaves with the next frame, or a while later") {
  InFlight all;
  Voices voices;
  Session session{Epoch{1}, &all, &voices};
  session.begin(SessionId{1}, "peer", "user", protocol::Hello{}, start);
  session.durable(start);
  session.say_aside(protocol::Drain{}, start);
  CHECK(voices.take_speaking().empty());
  CHECK(voices.next() == start + defaults::aside_most);
  CHECK(session.leaves_by() == start + defaults::aside_most);
  session.say_recorded({AttemptId{5}}, start + 1ms); // no later for that
  CHECK(voices.take_waiting(start + defaults::aside_most - Duration{1}).empty());
  CHECK(voices.take_waiting(start + defaults::aside_most) == std::vector{SessionId{1}});
  SECTION("by then") {}
  SECTION("with another") {
    session.say(protocol::Recorded{}, start);
    CHECK(voices.take_speaking() == std::vector{SessionId{1}});
  }
  const auto frames = session.leave();
  REQUIRE(frames.size() == 1);
  const protocol::Frame frame = read(frames[0]);
  CHECK(std::holds_alternative<protocol::Drain>(frame.messages.front()));
  CHECK(std::get<protocol::Recorded>(frame.messages.back()).attempts == std::vector{AttemptId{5}});
  CHECK(session.leaves_by() == never);
}

TEST_CASE("what is said aside by several soon after each other leaves together") {
  Voices voices;
  constexpr Time first = start + defaults::aside_most;
  constexpr Duration soon = defaults::aside_most / 5;
  CHECK(voices.waits(SessionId{1}, first) == first);
  CHECK(voices.waits(SessionId{2}, first + soon - Duration{1}) == first);
  CHECK(voices.waits(SessionId{3}, first + soon) == first + soon);
  CHECK(voices.take_waiting(first) == std::vector{SessionId{1}, SessionId{2}});
  CHECK(voices.next() == first + soon);
}

TEST_CASE("records are told at once where the worker waits for them") {
  Voices voices;
  Session session{Epoch{1}, nullptr, &voices};
  session.begin(SessionId{1}, "peer", "user", protocol::Hello{}, start);
  session.durable(start);
  const auto answer = [&](std::uint64_t attempt, std::size_t bytes) {
    protocol::Outcome outcome;
    outcome.attempt = AttemptId{attempt};
    outcome.body = std::string(bytes - outcome.bytes(), 'b');
    session.answered(outcome, {});
  };
  SECTION("to end") {
    session.draining = true;
    session.say_recorded({AttemptId{1}}, start);
    CHECK(voices.take_speaking().size() == 1);
  }
  SECTION("with a quarter of its window unrecorded") {
    constexpr std::size_t quarter = limits::outcome_window_bytes / 4;
    answer(1, quarter / 2);
    answer(2, quarter / 2 - 1);
    session.say_recorded({AttemptId{1}}, start);
    CHECK(voices.take_speaking().empty());
    answer(3, 1'000);
    answer(3, 1'000); // told again
    session.say_recorded({AttemptId{2}}, start);
    CHECK(voices.take_speaking().size() == 1);
    session.leave();
    answer(4, quarter - 1'001); // what was told is not unrecorded
    session.say_recorded({AttemptId{3}}, start);
    CHECK(voices.take_speaking().empty());
  }
}

TEST_CASE(
    "only books that differ twice, after all was heard that changes them, are compared anew") {
  Session session{Epoch{1}};
  session.begin(SessionId{1}, "peer", "user", protocol::Hello{}, start);
  session.durable(start);
  session.feed(CallId{1}, held(1), start);
  session.say_aside(protocol::Batch{}, start);
  protocol::Heartbeat beat;
  beat.capacity = {4, 100};
  for (int n = 0; n < 3; ++n) CHECK_FALSE(session.take_beat(beat)); // the batch has not left
  session.leave();
  for (int n = 0; n < 3; ++n) CHECK_FALSE(session.take_beat(beat)); // it has not heard the batch
  session.heard(1, start);
  CHECK_FALSE(session.take_beat(beat));
  CHECK(session.take_beat(beat));
  CHECK_FALSE(session.take_beat(beat));
  beat.held = 1;
  CHECK_FALSE(session.take_beat(beat));
  beat.held = 0;
  CHECK_FALSE(session.take_beat(beat));
}

TEST_CASE("calls in flight are counted per job, of all sessions, also when one of them goes") {
  InFlight all;
  Session first{Epoch{1}, &all};
  auto second = std::make_unique<Session>(Epoch{1}, &all);
  first.give(CallId{1}, held(1));
  second->give(CallId{2}, held(1));
  CHECK(all.of(JobId{7}) == 0);
  first.calls.permit(CallId{1}, AttemptId{5}, EndpointId{3});
  second->calls.permit(CallId{2}, AttemptId{6}, EndpointId{3});
  CHECK(all.of(JobId{7}) == 2);
  CHECK(all.of(JobId{8}) == 0);
  second->give(CallId{1}, first.calls.take(CallId{1})); // it changes hands
  CHECK(all.of(JobId{7}) == 2);
  second->calls.unpermit(CallId{2});
  CHECK(all.of(JobId{7}) == 1);
  second.reset();
  CHECK(all.of(JobId{7}) == 0);
}

TEST_CASE("a session's rate rises at once and falls slowly") {
  Session session{Epoch{1}};
  session.completed = 1'000; // before anybody looked
  session.measure(start);
  CHECK(session.rate() == 0);
  session.completed += 100;
  session.measure(start + 100ms); // too soon to say
  CHECK(session.rate() == 0);
  session.measure(start + 1s);
  CHECK(session.rate() == Approx(100));
  session.measure(start + 2s);
  CHECK(session.rate() == Approx(50));
  session.completed += 400;
  session.measure(start + 4s);
  CHECK(session.rate() == Approx(200));
}

} // namespace session_test
