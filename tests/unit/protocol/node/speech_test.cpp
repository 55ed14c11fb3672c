// How what is said leaves in few frames.
#include "protocol/limits.hpp"
#include "protocol/node/speech.hpp"

#include <catch2/catch.hpp>

namespace speech_test {

using namespace gristmill;
using namespace gristmill::protocol;

namespace {

Envelope envelope() {
  Envelope of_all;
  of_all.epoch = Epoch{3};
  of_all.session = SessionId{5};
  of_all.ack = 9;
  return of_all;
}

Batch batch(std::size_t bytes) {
  return {{PlannedCall{
      CallId{1}, {{PartId{JobId{1}, 1, 1}, ItemKind::text, std::string(bytes, 'r')}}, {}}}};
}

std::vector<std::size_t> sizes_of(const std::vector<Speech::Left>& frames) {
  std::vector<std::size_t> sizes;
  for (const Speech::Left& frame : frames) sizes.push_back(frame.messages.size());
  return sizes;
}

const Permits permits{Nonce{1}, {{CallId{1}, AttemptId{1}, EndpointId{1}}}};

} // namespace

TEST_CASE("what was said since is one frame, numbered and as it was said") {
  Speech speech;
  CHECK(speech.leave(envelope()).empty());
  CHECK(speech.seq() == 0);
  speech.say(Wait{Nonce{1}, {CallId{1}}, 5});
  speech.say(permits);
  const auto frames = speech.leave(envelope());
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].seq == 1);
  const auto read = decode(frames[0].bytes, Direction::from_coordinator);
  REQUIRE(read);
  CHECK((read->messages == frames[0].messages));
  CHECK(read->seq == 1);
  CHECK(read->ack == 9);
  CHECK(read->epoch == Epoch{3});
  CHECK(std::holds_alternative<Wait>(read->messages.at(0)));
  CHECK(std::holds_alternative<Permits>(read->messages.at(1)));
  CHECK(speech.waiting().empty());
  speech.say(Drain{});
  CHECK(speech.leave(envelope()).at(0).seq == 2);
  speech.say(Drain{});
  speech.forget();
  CHECK(speech.leave(envelope()).empty());
  speech.say(Drain{});
  speech.begin();
  CHECK(speech.waiting().empty());
  CHECK(speech.seq() == 0);
}

TEST_CASE("a frame ends where it is full, and where a message stands alone") {
  Speech speech;
  SECTION("of messages") {
    for (std::uint32_t n = 0; n < 2 * limits::frame_messages_max + 1; ++n) speech.say(Drain{});
    CHECK(sizes_of(speech.leave(envelope())) == std::vector<std::size_t>{5, 5, 1});
    CHECK(speech.seq() == 3);
  }
  SECTION("of bytes") {
    speech.say(batch(limits::frame_target_bytes / 2));
    speech.say(permits);
    speech.say(batch(limits::frame_target_bytes / 2));
    speech.say(permits);
    CHECK(sizes_of(speech.leave(envelope())) == std::vector<std::size_t>{2, 2});
  }
  SECTION("a message of more than the target") {
    speech.say(permits);
    speech.say(batch(2 * limits::frame_target_bytes));
    speech.say(permits);
    CHECK(sizes_of(speech.leave(envelope())) == std::vector<std::size_t>{1, 1, 1});
  }
  SECTION("a Welcome") {
    speech.say(Welcome{});
    speech.say(Drain{});
    speech.say(Drain{});
    CHECK(sizes_of(speech.leave(envelope())) == std::vector<std::size_t>{1, 2});
  }
}

} // namespace speech_test
