#include "coordinator/gateway/peer_queues.hpp"

#include <catch2/catch.hpp>

namespace peer_queues_test {

using namespace gristmill::coordinator;

TEST_CASE("waiting frames of a peer leave in order, and only as far as there is room") {
  PeerQueues queues{100};
  for (const char* text : {"a", "b", "c"}) REQUIRE(queues.push({"full", text}));
  REQUIRE(queues.push({"left", "x"}));
  REQUIRE(queues.push({"free", "y"}));
  std::vector<std::string> sent;
  std::vector<PeerId> gone;
  int room = 1;
  const auto send = [&](const PeerId& peer, const std::string& bytes) {
    if (peer == "left") return Sent::gone;
    if (peer == "full" && room-- <= 0) return Sent::full;
    sent.push_back(peer + bytes);
    return Sent::yes;
  };
  CHECK(queues.retry(send, gone));
  CHECK(gone == std::vector<PeerId>{"left"});
  CHECK_THAT(sent, Catch::UnorderedEquals(std::vector<std::string>{"fulla", "freey"}));
  // Whoever still waits must not be overtaken by a newer frame of its own.
  CHECK(queues.waits("full"));
  CHECK_FALSE(queues.waits("left"));
  CHECK_FALSE(queues.waits("free"));
  room = 0;
  CHECK_FALSE(queues.retry(send, gone));
  room = 2;
  sent.clear();
  CHECK(queues.retry(send, gone));
  CHECK(sent == std::vector<std::string>{"fullb", "fullc"});
  CHECK(queues.empty());
}

TEST_CASE("a peer's queue has a bound of its own, and room again once frames have left") {
  PeerQueues queues{10};
  REQUIRE(queues.push({"slow", std::string(10, 's')}));
  REQUIRE(queues.push({"other", std::string(10, 'o')}));
  std::vector<PeerId> gone;
  queues.retry([](const PeerId& peer,
                  const std::string&) { return peer == "other" ? Sent::yes : Sent::full; },
               gone);
  CHECK(queues.push({"other", std::string(10, 'o')}));
  CHECK_FALSE(queues.push({"slow", "s"}));
  CHECK_FALSE(queues.waits("slow"));
  CHECK(queues.waits("other"));
}

} // namespace peer_queues_test
