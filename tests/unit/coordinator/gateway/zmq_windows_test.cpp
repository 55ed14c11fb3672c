#include "tests/unit/coordinator/gateway/zmq_stage.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.hpp>

namespace zmq_windows_test {

using namespace gristmill;
using stage::CoordinatorEnd;
using stage::WorkerEnd;

namespace {

std::vector<std::string> numbered(const std::string& prefix, int count) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) texts.push_back(fmt::format("{} {}", prefix, i));
  return texts;
}

std::vector<std::string> bytes_of(const std::vector<coordinator::ReceivedFrame>& frames) {
  std::vector<std::string> texts;
  for (const auto& frame : frames) texts.push_back(frame.bytes);
  return texts;
}

// A frame of this size whose end says which it is.
std::vector<std::string> large(int count, std::size_t size) {
  std::vector<std::string> texts = numbered("", count);
  for (std::string& text : texts) text.insert(0, size - text.size(), '.');
  return texts;
}

constexpr const char* any_port = "tcp://127.0.0.1:0";

// A peer of which ZeroMQ knows nothing.
class RawSocket {
public:
  explicit RawSocket(const std::string& endpoint) : fd_{::socket(AF_INET, SOCK_STREAM, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  ~RawSocket() { ::close(fd_); }
  RawSocket(const RawSocket&) = delete;

  int fd() const { return fd_; }
  void send(const std::string& bytes) const {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t size = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      REQUIRE(size > 0);
      sent += static_cast<std::size_t>(size);
    }
  }
  // ZMTP 3.0 without a mechanism, as a DEALER.
  void greet() const {
    using namespace std::string_literals;
    send("\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL"s + std::string(48, '\0'));
    const std::string ready = "\x05READY\x0bSocket-Type\0\0\0\x06"
                              "DEALER\x08Identity\0\0\0\0"s;
    send("\x04"s + static_cast<char>(ready.size()) + ready);
  }
  // Whether the other side ends the connection.
  bool closes() const {
    for (;;) {
      pollfd item{fd_, POLLIN, 0};
      if (::poll(&item, 1, 60'000) <= 0) return false;
      std::array<char, 4'096> heard{};
      if (::recv(fd_, heard.data(), heard.size(), 0) <= 0) return true;
    }
  }

private:
  int fd_;
};

// Which of the two ends first; neither: nullptr.
const RawSocket* first_closed(const RawSocket& a, const RawSocket& b) {
  for (;;) {
    std::array<pollfd, 2> items{{{a.fd(), POLLIN, 0}, {b.fd(), POLLIN, 0}}};
    if (::poll(items.data(), items.size(), 60'000) <= 0) return nullptr;
    for (const auto* socket : {&a, &b}) {
      std::array<char, 4'096> heard{};
      const ssize_t size = ::recv(socket->fd(), heard.data(), heard.size(), MSG_DONTWAIT);
      if (size == 0 || (size < 0 && errno != EAGAIN)) return socket;
    }
  }
}

// Of a message of one part: flags "long", then its bytes.
std::string header_of(std::uint64_t bytes) {
  std::string header{"\x02"};
  for (int shift = 56; shift >= 0; shift -= 8) header += static_cast<char>(bytes >> shift);
  return header;
}

} // namespace

TEST_CASE("frames go both ways in order") {
  CoordinatorEnd coordinator{{.listen = any_port}};
  WorkerEnd worker{{.coordinator = coordinator.gateway->endpoint()}};
  REQUIRE(worker.comes_up());
  const auto up = numbered("up", 5'000), down = numbered("down", 5'000);
  worker.link->send(up);
  REQUIRE(coordinator.has_frames(up.size()));
  CHECK(bytes_of(coordinator.received()) == up);
  CHECK(coordinator.received().front().user.empty());
  coordinator.send(coordinator.peer_that_said("up 0"), down);
  REQUIRE(worker.has_frames(down.size()));
  CHECK(worker.received() == down);
  CHECK(coordinator.gone_peers().empty());
}

TEST_CASE("port 0 becomes a real port") {
  CoordinatorEnd coordinator{{.listen = "tcp://localhost:0"}};
  CHECK(coordinator.gateway->endpoint().starts_with("tcp://127.0.0.1:"));
  CHECK_FALSE(coordinator.gateway->endpoint().ends_with(":0"));
}

TEST_CASE("an address that cannot be listened on is refused with what to do") {
  CoordinatorEnd first{{.listen = any_port}};
  struct Case {
    std::string listen, sentence;
    ErrorCode code;
  };
  for (const Case& c : {Case{first.gateway->endpoint(), "in use", ErrorCode::conflict},
                        Case{"tcp://0.0.0.0:0", "without keys", ErrorCode::usage},
                        Case{"tcp://*:0", "without keys", ErrorCode::usage},
                        Case{"tcp://127.evil.example:0", "without keys", ErrorCode::usage},
                        Case{"tcp://127.0.0.1:0;10.0.0.1:7411", "without keys", ErrorCode::usage},
                        Case{"tcp://127.0.0.1:port", "cannot listen on", ErrorCode::usage},
                        Case{"ipc:///proc/nothing/here", "listen on", ErrorCode::usage},
                        Case{"127.0.0.1:7411", "expected an address such as", ErrorCode::usage}}) {
    const auto opened = coordinator::ZmqGateway::open({.listen = c.listen}, {});
    REQUIRE_FALSE(opened);
    CHECK_THAT(opened.error().message, Catch::Contains(c.sentence));
    CHECK(opened.error().code == c.code);
  }
}

TEST_CASE("a link without keys stays on its machine") {
  const auto opened = worker::ZmqLink::open({.coordinator = "tcp://10.0.0.1:7411"}, {});
  REQUIRE_FALSE(opened);
  CHECK_THAT(opened.error().message, Catch::Contains("without keys"));
}

TEST_CASE("a peer that nobody is behind is gone") {
  CoordinatorEnd coordinator{{.listen = any_port}};
  coordinator.send("nobody", {"hello?", "hello?"});
  CHECK(coordinator.notes.become(
      [&] { return coordinator.gone == std::vector<coordinator::PeerId>{"nobody"}; }));
}

TEST_CASE("a peer that has left is gone, and its last word arrives") {
  CoordinatorEnd coordinator{{.listen = any_port, .hwm_frames = 10}};
  coordinator::PeerId peer;
  {
    WorkerEnd worker{{.coordinator = coordinator.gateway->endpoint(),
                      .hwm_frames = 10,
                      .farewell = std::chrono::minutes{1}}};
    REQUIRE(worker.comes_up());
    worker.link->send({"hello"});
    peer = coordinator.peer_that_said("hello");
    worker.link->send(large(100, 32 * limits::kib));
    worker.link->send({"goodbye"});
  }
  CHECK(coordinator.peer_that_said("goodbye") == peer);
  // Sends just after the end may still succeed; sooner or later one tells.
  CHECK(coordinator.notes.become_by([&] { coordinator.send(peer, {"still there?"}); },
                                    [&] { return !coordinator.gone.empty(); }));
}

TEST_CASE("reading stops at the bound and nothing is lost") {
  constexpr std::size_t size = 16 * limits::kib, bound = 8 * size, count = 3'000;
  CoordinatorEnd coordinator{{.listen = any_port, .in_bytes_max = bound, .hwm_frames = 10}, false};
  WorkerEnd worker{{.coordinator = coordinator.gateway->endpoint(), .hwm_frames = 10}};
  REQUIRE(worker.comes_up());
  const auto sent = large(count, size);
  worker.link->send(sent);
  std::size_t most = 0;
  // Consumes only what has piled up to the bound, until the rest fits below it.
  REQUIRE(coordinator.notes.become([&] {
    most = std::max(most, coordinator.unconsumed);
    if (coordinator.unconsumed >= bound || coordinator.frames.size() + 8 > count)
      coordinator.gateway->consumed(std::exchange(coordinator.unconsumed, 0));
    return coordinator.frames.size() == count;
  }));
  CHECK(bytes_of(coordinator.received()) == sent);
  CHECK(most == bound);
}

TEST_CASE("a peer that does not read holds nobody else up, and loses nothing") {
  constexpr std::size_t size = 64 * limits::kib;
  CoordinatorEnd coordinator{{.listen = any_port, .hwm_frames = 10}};
  const std::string endpoint = coordinator.gateway->endpoint();
  WorkerEnd slow{{.coordinator = endpoint, .in_bytes_max = size, .hwm_frames = 10}, false};
  WorkerEnd quick{{.coordinator = endpoint}};
  REQUIRE((slow.comes_up() && quick.comes_up()));
  slow.link->send({"slow"});
  quick.link->send({"quick"});
  const auto much = large(1'000, size), little = numbered("", 1'000);
  coordinator.send(coordinator.peer_that_said("slow"), much);
  coordinator.send(coordinator.peer_that_said("quick"), little);
  REQUIRE(quick.has_frames(little.size()));
  CHECK(slow.received().size() < much.size());
  REQUIRE(slow.notes.become([&] {
    slow.link->consumed(std::exchange(slow.unconsumed, 0));
    return slow.frames.size() == much.size();
  }));
  CHECK(slow.received() == much);
  CHECK(coordinator.gone_peers().empty());
}

TEST_CASE("a peer for whom too much waits counts as gone") {
  constexpr std::size_t size = 64 * limits::kib;
  CoordinatorEnd coordinator{
      {.listen = any_port, .peer_out_bytes_max = 10 * size, .hwm_frames = 10}};
  WorkerEnd slow{
      {.coordinator = coordinator.gateway->endpoint(), .in_bytes_max = size, .hwm_frames = 10},
      false};
  REQUIRE(slow.comes_up());
  slow.link->send({"slow"});
  const auto peer = coordinator.peer_that_said("slow");
  coordinator.send(peer, large(1'000, size));
  REQUIRE(coordinator.notes.become([&] { return !coordinator.gone.empty(); }));
  CHECK(coordinator.gone_peers().front() == peer);
  CHECK(slow.troubles().empty()); // it was our bound, and not the connection's end
}

TEST_CASE("a message that is no single frame is dropped and counted") {
  CoordinatorEnd coordinator{{.listen = any_port}};
  zmq::context_t context;
  zmq::socket_t odd{context, zmq::socket_type::dealer};
  odd.set(zmq::sockopt::linger, 0);
  odd.connect(coordinator.gateway->endpoint());
  for (int part = 0; part < 1'000; ++part) odd.send(zmq::str_buffer("x"), zmq::send_flags::sndmore);
  odd.send(zmq::str_buffer("x"), zmq::send_flags::none);
  odd.send(zmq::message_t{}, zmq::send_flags::none);
  odd.send(zmq::str_buffer("a frame"), zmq::send_flags::none);
  coordinator.peer_that_said("a frame");
  CHECK(coordinator.received().size() == 1);
  CHECK(coordinator.gateway->dropped_frames() == 2);
}

TEST_CASE("a connection that says nothing is closed long before ZeroMQ would do it") {
  const CoordinatorEnd coordinator{{.listen = any_port}};
  zmq::context_t context;
  zmq::socket_t patient{context, zmq::socket_type::router};
  patient.set(zmq::sockopt::handshake_ivl, 15'000); // half of what it is by itself
  patient.bind(any_port);
  const RawSocket silent{coordinator.gateway->endpoint()};
  const RawSocket other{patient.get(zmq::sockopt::last_endpoint)};
  CHECK(first_closed(silent, other) == &silent);
}

TEST_CASE("a message above a frame's bound closes its connection before it is read") {
  CoordinatorEnd coordinator{{.listen = any_port}};
  constexpr std::size_t most = limits::frame_bytes_max + 4 * limits::kib;
  for (const std::size_t bytes : {most - 1, most}) {
    const RawSocket sender{coordinator.gateway->endpoint()};
    sender.greet();
    sender.send(header_of(bytes) + std::string(bytes, 'x'));
    REQUIRE(coordinator.notes.become([&] {
      return !coordinator.frames.empty() && coordinator.frames.back().bytes.size() == bytes;
    }));
  }
  const RawSocket sender{coordinator.gateway->endpoint()};
  sender.greet();
  sender.send(header_of(most + 1));
  CHECK(sender.closes());
}

TEST_CASE("a link comes back when the coordinator does") {
  auto coordinator =
      std::make_unique<CoordinatorEnd>(coordinator::GatewayOptions{.listen = any_port});
  const std::string endpoint = coordinator->gateway->endpoint();
  WorkerEnd worker{{.coordinator = endpoint}};
  REQUIRE(worker.comes_up());
  coordinator.reset();
  REQUIRE(worker.goes_down("ended"));
  worker.link->send({"into the void"});
  REQUIRE(worker.goes_down("nobody answers"));
  CHECK(worker.troubles().size() == 2);
  coordinator = std::make_unique<CoordinatorEnd>(coordinator::GatewayOptions{.listen = endpoint});
  REQUIRE(worker.comes_up(2));
  worker.link->send({"hello again"});
  coordinator->peer_that_said("hello again");
  CHECK(coordinator->received().size() == 1);
}

TEST_CASE("a link may be opened before its coordinator") {
  std::string endpoint;
  { endpoint = CoordinatorEnd{{.listen = any_port}}.gateway->endpoint(); }
  WorkerEnd worker{{.coordinator = endpoint}};
  REQUIRE(worker.goes_down("nobody answers"));
  CoordinatorEnd coordinator{{.listen = endpoint}};
  CHECK(worker.comes_up());
}

} // namespace zmq_windows_test
