// Conversations between a worker and its coordinator, as they should be and as they should not.
#include "protocol/node/grammar.hpp"

#include <catch2/catch.hpp>

namespace grammar_test {

using namespace gristmill;
using namespace gristmill::protocol;

namespace {

constexpr Epoch now{5}, before{4}, later{6};
constexpr SessionId first{5ull << 32 | 1}, second{5ull << 32 | 2};

Frame frame(Message message, SessionId session, std::uint64_t seq, Epoch epoch = now) {
  Frame made;
  made.epoch = epoch;
  made.session = session;
  made.seq = seq;
  made.messages.push_back(std::move(message));
  return made;
}
Frame hello(Epoch epoch = now) {
  return frame(Hello{}, {}, 0, epoch);
}
Frame beat(std::uint64_t seq, SessionId session = first) {
  return frame(Heartbeat{}, session, seq);
}
Frame welcome(SessionId session, std::uint64_t seq = 1, Epoch epoch = now) {
  return frame(Welcome{}, session, seq, epoch);
}
Frame wait(std::uint64_t seq, SessionId session = first) {
  return frame(Wait{}, session, seq);
}
Frame refused(Epoch epoch = now) {
  return frame(Refused{}, {}, 0, epoch);
}

// What a coordinator hears of one connection, and what a worker hears.
struct AtCoordinator {
  Grammar grammar{Direction::from_worker, now};
  Verdict hear(const Frame& f) { return grammar.hear(f).verdict; }
  void accept_hello(SessionId session) {
    REQUIRE(hear(hello()) == Verdict::ok);
    grammar.begin(session);
  }
};
struct AtWorker {
  Grammar grammar{Direction::from_coordinator, Epoch{}};
  Verdict hear(const Frame& f) { return grammar.hear(f).verdict; }
  void be_welcomed(SessionId session) {
    grammar.expect_welcome();
    REQUIRE(hear(welcome(session)) == Verdict::ok);
  }
};

void is_violation(const Heard& heard, const std::string& sentence) {
  CHECK(heard.verdict == Verdict::violation);
  CHECK_THAT(heard.sentence, Catch::Contains(sentence));
}

} // namespace

TEST_CASE("a worker's frames are heard in order, from Hello to Goodbye") {
  AtCoordinator at;
  at.accept_hello(first);
  CHECK(at.hear(frame(Need{}, first, 1)) == Verdict::ok);
  CHECK(at.hear(frame(Outcomes{}, first, 2)) == Verdict::ok);
  CHECK(at.hear(frame(Returned{}, first, 3)) == Verdict::ok);
  CHECK(at.hear(beat(4)) == Verdict::ok);
  CHECK(at.grammar.heard() == 4);
  CHECK(at.hear(frame(Goodbye{}, first, 5)) == Verdict::ok);
}

TEST_CASE("a coordinator's frames are heard in order, the Welcome first") {
  AtWorker at;
  at.be_welcomed(first);
  CHECK(at.grammar.epoch() == now);
  CHECK(at.grammar.session() == first);
  CHECK(at.hear(frame(JobOpened{}, first, 2)) == Verdict::ok);
  CHECK(at.hear(frame(Batch{}, first, 3)) == Verdict::ok);
  CHECK(at.hear(frame(Permits{}, first, 4)) == Verdict::ok);
  CHECK(at.hear(refused()) == Verdict::ok);
  CHECK(at.hear(frame(Recorded{}, first, 5)) == Verdict::ok);
  CHECK(at.grammar.heard() == 5);
}

TEST_CASE("who has not said Hello on this connection is told so") {
  AtCoordinator at;
  CHECK(at.hear(beat(1)) == Verdict::needs_hello);
  CHECK(at.hear(frame(Goodbye{}, first, 9)) == Verdict::needs_hello);
  CHECK(at.hear(hello()) == Verdict::ok);
  CHECK(at.hear(beat(1)) == Verdict::needs_hello); // heard, but no session has begun
}

TEST_CASE("a worker without a session drops all but the Welcome it waits for") {
  AtWorker at;
  CHECK(at.hear(wait(2)) == Verdict::needs_hello);
  CHECK(at.hear(welcome(first)) == Verdict::other_session);
  at.be_welcomed(second);
}

TEST_CASE("a lost frame is a gap until it comes") {
  AtCoordinator at;
  at.accept_hello(first);
  CHECK(at.hear(beat(1)) == Verdict::ok);
  const Heard gap = at.grammar.hear(beat(3));
  CHECK(gap.verdict == Verdict::gap);
  CHECK(gap.sentence == "expected frame 2, got 3");
  CHECK(at.hear(beat(UINT64_MAX)) == Verdict::gap);
  CHECK(at.grammar.heard() == 1);
  CHECK(at.hear(beat(2)) == Verdict::ok);
  CHECK(at.hear(beat(3)) == Verdict::ok);
}

TEST_CASE("a replayed frame is a duplicate") {
  AtCoordinator coordinator;
  coordinator.accept_hello(first);
  CHECK(coordinator.hear(beat(1)) == Verdict::ok);
  CHECK(coordinator.hear(beat(2)) == Verdict::ok);
  CHECK(coordinator.hear(beat(2)) == Verdict::duplicate);
  CHECK(coordinator.hear(beat(1)) == Verdict::duplicate);
  AtWorker worker;
  worker.be_welcomed(second);
  CHECK(worker.hear(wait(2, second)) == Verdict::ok);
  CHECK(worker.hear(wait(2, second)) == Verdict::duplicate);
  CHECK(worker.hear(welcome(second)) == Verdict::duplicate);
}

TEST_CASE("frames of another session are told apart") {
  AtCoordinator coordinator;
  coordinator.accept_hello(second);
  CHECK(coordinator.hear(beat(1, first)) == Verdict::other_session);
  CHECK(coordinator.hear(beat(1, second)) == Verdict::ok);
  AtWorker worker;
  worker.be_welcomed(second);
  CHECK(worker.hear(wait(2, first)) == Verdict::other_session);
  CHECK(worker.hear(wait(2, second)) == Verdict::ok);
}

TEST_CASE("a Hello may come at any time and starts the session anew") {
  AtCoordinator at;
  at.accept_hello(first);
  CHECK(at.hear(beat(1)) == Verdict::ok);
  CHECK(at.hear(beat(2)) == Verdict::ok);
  at.accept_hello(second);
  CHECK(at.hear(beat(3, first)) == Verdict::other_session);
  CHECK(at.hear(beat(1, second)) == Verdict::ok);
}

TEST_CASE("a worker that has said Hello again hears nothing more of the session before") {
  AtWorker at;
  at.be_welcomed(first);
  CHECK(at.hear(wait(2)) == Verdict::ok);
  at.grammar.expect_welcome();
  CHECK(at.hear(wait(3)) == Verdict::other_session);
  CHECK(at.hear(welcome(first)) == Verdict::duplicate);
  CHECK(at.hear(welcome(second)) == Verdict::ok);
  CHECK(at.hear(welcome(first)) == Verdict::duplicate);
  CHECK(at.hear(wait(2, second)) == Verdict::ok);
}

// Two Hellos of which the first was late: the frames behind the second Welcome are not heard, so
// that Welcome may not begin a session later either.
TEST_CASE("a Welcome that came while none was expected begins no session when it is repeated") {
  const SessionId third{5ull << 32 | 3};
  AtWorker at;
  at.be_welcomed(first);
  CHECK(at.hear(welcome(second)) == Verdict::other_session);
  CHECK(at.hear(wait(2, second)) == Verdict::other_session);
  at.grammar.expect_welcome();
  CHECK(at.hear(welcome(second)) == Verdict::duplicate);
  CHECK(at.hear(welcome(third)) == Verdict::ok);
  CHECK(at.hear(wait(2, third)) == Verdict::ok);
}

TEST_CASE("a worker drops what an earlier life of its coordinator said") {
  AtWorker at;
  at.be_welcomed(first);
  CHECK(at.hear(refused(before)) == Verdict::stale_epoch);
  CHECK(at.hear(frame(Wait{}, first, 2, before)) == Verdict::stale_epoch);
  CHECK(at.hear(welcome(second, 1, before)) == Verdict::stale_epoch);
  CHECK(at.hear(wait(2)) == Verdict::ok);
}

TEST_CASE("a worker follows a restarted coordinator only by its Welcome") {
  AtWorker at;
  at.be_welcomed(first);
  CHECK(at.hear(frame(Wait{}, first, 2, later)) == Verdict::other_session);
  CHECK(at.hear(refused(later)) == Verdict::ok);
  at.grammar.expect_welcome();
  CHECK(at.hear(welcome(SessionId{6ull << 32 | 1}, 1, later)) == Verdict::ok);
  CHECK(at.grammar.epoch() == later);
}

TEST_CASE("what a worker says under an older epoch is answered, or it would never say Hello") {
  AtCoordinator at;
  CHECK(at.hear(frame(Heartbeat{}, SessionId{4ull << 32 | 1}, 9, before)) == Verdict::needs_hello);
  CHECK(at.hear(hello(before)) == Verdict::ok);
  at.grammar.begin(first);
  CHECK(at.hear(frame(Heartbeat{}, first, 1, before)) == Verdict::other_session);
}

TEST_CASE("an epoch that has not begun is a violation") {
  AtCoordinator at;
  is_violation(at.grammar.hear(hello(later)), "epoch up to 5, got 6");
  at.accept_hello(first);
  is_violation(at.grammar.hear(frame(Heartbeat{}, first, 1, later)), "epoch up to 5, got 6");
  CHECK(at.hear(beat(1)) == Verdict::ok);
}

TEST_CASE("numbers and sessions where none belong, or none where they do, are violations") {
  AtCoordinator coordinator;
  is_violation(coordinator.grammar.hear(frame(Hello{}, first, 0)), "outside of any session");
  is_violation(coordinator.grammar.hear(frame(Hello{}, {}, 1)), "outside of any session");
  coordinator.accept_hello(first);
  is_violation(coordinator.grammar.hear(beat(0)), "a number from 1");
  is_violation(coordinator.grammar.hear(beat(1, {})), "a number from 1");
  AtWorker worker;
  worker.grammar.expect_welcome();
  is_violation(worker.grammar.hear(welcome({})), "a number from 1");
  is_violation(worker.grammar.hear(welcome(first, 2)), "Welcome as number 1");
  is_violation(worker.grammar.hear(frame(Refused{}, first, 3)), "outside of the numbering");
}

TEST_CASE("after Goodbye a worker says nothing more in its session") {
  AtCoordinator at;
  at.accept_hello(first);
  CHECK(at.hear(frame(Goodbye{}, first, 1)) == Verdict::ok);
  CHECK(at.hear(frame(Goodbye{}, first, 1)) == Verdict::duplicate);
  is_violation(at.grammar.hear(beat(2)), "nothing after Goodbye");
  at.accept_hello(second);
  CHECK(at.hear(beat(1, second)) == Verdict::ok);
}

TEST_CASE("a speaker that says the other side's words violates the grammar") {
  AtCoordinator coordinator;
  coordinator.accept_hello(first);
  is_violation(coordinator.grammar.hear(frame(Drain{}, first, 1)), "a worker's message, got Drain");
  AtWorker worker;
  is_violation(worker.grammar.hear(hello()), "a coordinator's message, got Hello");
}

TEST_CASE("messages share a frame and its number, but for those that begin a session or end it") {
  const auto together = [](Message a, Message b, std::uint64_t seq) {
    Frame both = frame(std::move(a), first, seq);
    both.messages.push_back(std::move(b));
    return both;
  };
  AtCoordinator at;
  at.accept_hello(first);
  CHECK(at.hear(together(Outcomes{}, Need{}, 1)) == Verdict::ok);
  CHECK(at.hear(together(Outcomes{}, Need{}, 1)) == Verdict::duplicate);
  CHECK(at.grammar.heard() == 1);
  is_violation(at.grammar.hear(together(Hello{}, Need{}, 2)), "Hello alone in its frame");
  is_violation(at.grammar.hear(together(Need{}, Hello{}, 2)), "Hello alone in its frame");
  is_violation(at.grammar.hear(together(Goodbye{}, Need{}, 2)), "Goodbye at the end of its frame");
  is_violation(at.grammar.hear(together(Need{}, Drain{}, 2)), "a worker's message, got Drain");
  CHECK(at.hear(together(Returned{}, Goodbye{}, 2)) == Verdict::ok);
  is_violation(at.grammar.hear(frame(Need{}, first, 3)), "nothing after Goodbye");
  AtWorker worker;
  worker.be_welcomed(first);
  CHECK(worker.hear(together(Batch{}, Permits{}, 2)) == Verdict::ok);
  is_violation(worker.grammar.hear(together(Welcome{}, Batch{}, 3)), "Welcome alone in its frame");
}

} // namespace grammar_test
