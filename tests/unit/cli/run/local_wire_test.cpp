#include "cli/run/local_wire.hpp"

#include <catch2/catch.hpp>

namespace local_wire_test {

using namespace gristmill;
using cli::LocalWire;
using Frames = std::vector<std::string>;

// A wire with a coordinator that notes what it hears.
struct Wire {
  std::shared_ptr<LocalWire> wire = std::make_shared<LocalWire>();
  std::vector<coordinator::ReceivedFrame> heard;
  std::vector<coordinator::PeerId> gone;
  std::unique_ptr<coordinator::Gateway> gateway =
      wire->gateway({[this](std::vector<coordinator::ReceivedFrame> frames) {
                       for (auto& frame : frames) heard.push_back(std::move(frame));
                     },
                     [this](std::vector<coordinator::PeerId> peers) { gone = std::move(peers); }});
};

struct Worker {
  explicit Worker(Wire& w)
      : link{w.wire->link({[this](Frames frames) { batches.push_back(std::move(frames)); },
                           [this] { up = true; }, [](const std::string&) {}})} {}
  bool up = false;
  std::vector<Frames> batches;
  std::unique_ptr<worker::Link> link;
};

TEST_CASE("a local wire hands frames over in order, each to its peer") {
  Wire wire;
  Worker a{wire}, b{wire};
  CHECK(a.up);
  a.link->send({"a1", "a2"});
  b.link->send({"b1"});
  REQUIRE(wire.heard.size() == 3);
  CHECK(wire.heard[0].bytes == "a1");
  CHECK(wire.heard[1].bytes == "a2");
  const auto peer_a = wire.heard[0].peer, peer_b = wire.heard[2].peer;
  CHECK(wire.heard[1].peer == peer_a);
  CHECK(peer_a != peer_b);
  wire.gateway->send({{peer_a, "1"}, {peer_a, "2"}, {peer_b, "3"}, {peer_a, "4"}});
  CHECK(a.batches == std::vector<Frames>{{"1", "2"}, {"4"}});
  CHECK(b.batches == std::vector<Frames>{{"3"}});
  CHECK(wire.gone.empty());
}

TEST_CASE("a local wire tells whose frames reach nobody") {
  Wire wire;
  auto a = std::make_unique<Worker>(wire);
  Worker b{wire};
  a->link->send({"a"});
  b.link->send({"b"});
  const auto peer_a = wire.heard[0].peer, peer_b = wire.heard[1].peer;
  a.reset();
  wire.gateway->send({{peer_a, "lost"}, {peer_b, "kept"}});
  CHECK(wire.gone == std::vector{peer_a});
  CHECK(b.batches == std::vector<Frames>{{"kept"}});
}

TEST_CASE("a local wire outlives its coordinator") {
  Wire wire;
  Worker a{wire};
  wire.gateway.reset();
  a.link->send({"nobody"});
  CHECK(wire.heard.empty());
}

} // namespace local_wire_test
