#include "worker/link/zmq_connection.hpp"

#include "actors/kit/check.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <fmt/format.h>
#include <zmq.hpp>

namespace gristmill::worker {
namespace {

constexpr int watched_events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_CONNECT_RETRIED;

void set_options(zmq::socket_t& socket, const LinkOptions& options) {
  using namespace zmq::sockopt;
  socket.set(zmq::sockopt::linger, 0);
  socket.set(immediate, true);
  socket.set(sndhwm, options.hwm_frames);
  socket.set(rcvhwm, options.hwm_frames);
  socket.set(maxmsgsize, static_cast<std::int64_t>(limits::frame_bytes_max + 4 * limits::kib));
  socket.set(handshake_ivl, 2'000);
  socket.set(reconnect_ivl, 200);
  socket.set(reconnect_ivl_max, 2'000);
  if (options.coordinator.starts_with("tcp://")) {
    socket.set(connect_timeout, 5'000);
    socket.set(heartbeat_ivl, 2'000);
    socket.set(heartbeat_timeout, 6'000);
    socket.set(tcp_keepalive, 1);
  }
  if (!options.access) return;
  socket.set(curve_serverkey, options.access->server_key);
  socket.set(curve_publickey, options.access->keys.public_key);
  socket.set(curve_secretkey, options.access->keys.secret_key);
}

bool receive_part(zmq::socket_t& socket, zmq::message_t& part) {
  int got;
  do got = ::zmq_msg_recv(part.handle(), socket.handle(), ZMQ_DONTWAIT);
  while (got < 0 && ::zmq_errno() == EINTR);
  return got >= 0;
}

} // namespace

struct ZmqConnection::Sockets {
  Sockets(zmq::context_t& context, const LinkOptions& options)
      : monitor{context, zmq::socket_type::pair}, dealer{context, zmq::socket_type::dealer} {
    static std::atomic<unsigned> monitors{0};
    const std::string name = fmt::format("inproc://gristmill.link.{}", ++monitors);
    set_options(dealer, options);
    monitor.set(zmq::sockopt::linger, 0);
    if (::zmq_socket_monitor(dealer.handle(), name.c_str(), watched_events) != 0)
      throw zmq::error_t{};
    monitor.connect(name);
    dealer.connect(options.coordinator);
  }
  ~Sockets() { ::zmq_socket_monitor(dealer.handle(), nullptr, 0); }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  zmq::socket_t monitor, dealer;
};

ZmqConnection::ZmqConnection(std::unique_ptr<Sockets> sockets) : sockets_{std::move(sockets)} {}
ZmqConnection::~ZmqConnection() = default;

Result<std::unique_ptr<ZmqConnection>> ZmqConnection::dial(zmq::context_t& context,
                                                           const LinkOptions& options) {
  try {
    return std::unique_ptr<ZmqConnection>{
        new ZmqConnection{std::make_unique<Sockets>(context, options)}};
  } catch (const zmq::error_t& error) {
    return fail(ErrorCode::usage,
                fmt::format("cannot reach {} ({}): expected a coordinator's address, such as "
                            "tcp://HOST:7411",
                            options.coordinator, error.what()));
  }
}

bool ZmqConnection::wait(int wake_fd, bool reading, bool writing, long timeout_ms) {
  const int events = (reading ? ZMQ_POLLIN : 0) | (writing ? ZMQ_POLLOUT : 0);
  std::array<zmq_pollitem_t, 3> items{
      {{nullptr, wake_fd, ZMQ_POLLIN, 0},
       {sockets_->monitor.handle(), 0, ZMQ_POLLIN, 0},
       {sockets_->dealer.handle(), 0, static_cast<short>(events), 0}}};
  const int ready = ::zmq_poll(items.data(), 3, timeout_ms);
  return ready > 0 && items[0].revents != 0;
}

std::optional<ZmqConnection::News> ZmqConnection::next_news() {
  zmq::message_t number, address;
  if (!receive_part(sockets_->monitor, number)) return std::nullopt;
  while (number.more() && receive_part(sockets_->monitor, address) && address.more()) {
  }
  std::uint16_t event = 0;
  std::memcpy(&event, number.data(), std::min(sizeof event, number.size()));
  switch (event) {
  case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: return News{.up = true};
  case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return News{.trouble = LinkTrouble::key_refused};
  case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
  case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: return News{.trouble = LinkTrouble::handshake_failed};
  case ZMQ_EVENT_DISCONNECTED: return News{.trouble = LinkTrouble::connection_ended};
  default: return News{.trouble = LinkTrouble::nobody_answers};
  }
}

bool ZmqConnection::receive(std::string& frame) {
  zmq::message_t part;
  while (receive_part(sockets_->dealer, part)) {
    const bool whole = !part.more() && part.size() != 0;
    while (part.more() && receive_part(sockets_->dealer, part)) {
    }
    if (!whole) continue; // no coordinator says such a thing
    frame = part.to_string();
    return true;
  }
  return false;
}

bool ZmqConnection::try_send(const std::string& frame) {
  int sent;
  do sent = ::zmq_send(sockets_->dealer.handle(), frame.data(), frame.size(), ZMQ_DONTWAIT);
  while (sent < 0 && ::zmq_errno() == EINTR);
  GRISTMILL_CHECK(sent >= 0 || ::zmq_errno() == EAGAIN, "{}", ::zmq_strerror(::zmq_errno()));
  return sent >= 0;
}

void ZmqConnection::linger(long ms) {
  sockets_->dealer.set(zmq::sockopt::linger, static_cast<int>(ms));
}

} // namespace gristmill::worker
