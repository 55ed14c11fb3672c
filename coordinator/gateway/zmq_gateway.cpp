#include "coordinator/gateway/zmq_gateway.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/clock.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "actors/kit/socket_thread.hpp"
#include "coordinator/gateway/listen_address.hpp"
#include "coordinator/gateway/peer_queues.hpp"
#include "coordinator/gateway/zap.hpp"

#include <algorithm>
#include <array>
#include <thread>
#include <zmq.hpp>

namespace gristmill::coordinator {
namespace {

constexpr int batch_frames = 64;
constexpr long retry_ms_min = 1, retry_ms_max = 20;
constexpr std::chrono::seconds enrolment_recheck{1};
// Stands in Debian's library but behind the draft guard of its header: without a key checker nobody
// gets in, instead of everybody.
constexpr int zap_enforce_domain = 93;

void set_bounds(zmq::socket_t& socket, const GatewayOptions& options) {
  using namespace zmq::sockopt;
  socket.set(linger, 0);
  socket.set(router_mandatory, true);
  socket.set(router_handover, false);
  socket.set(sndhwm, options.hwm_frames);
  socket.set(rcvhwm, options.hwm_frames);
  socket.set(maxmsgsize, static_cast<std::int64_t>(limits::frame_bytes_max + 4 * limits::kib));
  socket.set(handshake_ivl, 2'000);
  socket.set(backlog, 1024);
  if (!options.listen.starts_with("tcp://")) return;
  socket.set(heartbeat_ivl, 2'000);
  socket.set(heartbeat_timeout, 6'000);
  socket.set(tcp_keepalive, 1);
}

void set_keys(zmq::socket_t& socket, const KeyPair& server) {
  socket.set(zmq::sockopt::curve_server, true);
  socket.set(zmq::sockopt::curve_secretkey, server.secret_key);
  socket.set(zmq::sockopt::zap_domain, zap_domain);
  const int on = 1;
  if (::zmq_setsockopt(socket.handle(), zap_enforce_domain, &on, sizeof on) != 0)
    throw zmq::error_t{};
}

} // namespace

class ZmqGateway::Thread {
public:
  Thread(GatewayOptions options, GatewayEvents events)
      : options_{std::move(options)}, events_{std::move(events)},
        context_{std::make_shared<zmq::context_t>()}, socket_{*context_, zmq::socket_type::router},
        gauge_{options_.in_bytes_max}, waiting_{options_.peer_out_bytes_max} {}
  ~Thread() { stop(); }

  Result<> open();
  void stop();
  void send(std::vector<OutgoingFrame> frames);
  void consumed(std::size_t bytes) {
    if (gauge_.consumed(bytes)) bell_.ring();
  }

  std::string endpoint() const { return endpoint_; }
  std::uint64_t dropped() const { return dropped_; }

private:
  void run();
  bool wait(); // whether the socket can be read
  void receive_batch();
  bool receive_part(zmq::message_t& part);
  void drop_rest(zmq::message_t& part);
  bool admitted(const PeerId& peer, zmq::message_t& body, std::string& user);
  const std::optional<std::string>& name_of(const std::string& key);
  void look_at_keys();
  void send_queued();
  Sent try_send(const PeerId& peer, const std::string& bytes);
  void tell_gone();

  const GatewayOptions options_;
  const GatewayEvents events_;
  std::shared_ptr<zmq::context_t> context_;
  std::unique_ptr<Zap> zap_;
  zmq::socket_t socket_;
  std::string endpoint_;

  Bell bell_;
  ReadGauge gauge_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> dropped_{0};
  std::mutex mutex_;
  std::vector<OutgoingFrame> out_; // under mutex_

  PeerQueues waiting_;
  std::vector<PeerId> gone_;
  long retry_ms_ = retry_ms_min;
  struct Peer {
    std::string key;
    Time heard{};
  };
  std::unordered_map<PeerId, Peer> peers_; // whose keys may join; with keys alone
  std::unordered_map<std::string, std::optional<std::string>> names_; // by key, for a second
  Time names_until_{};
  std::thread thread_;
};

Result<> ZmqGateway::Thread::open() {
  const std::string listen = without_local_name(options_.listen);
  try {
    set_bounds(socket_, options_);
    if (options_.keys) {
      auto zap = Zap::start(context_, options_.keys->enrolment, options_.log);
      GRISTMILL_TRY(zap);
      zap_ = std::move(*zap);
      set_keys(socket_, options_.keys->server);
    }
    socket_.bind(listen);
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
  } catch (const zmq::error_t& error) {
    return tl::unexpected{listen_error(options_.listen, error.num())};
  }
  if (options_.keys) {
    auto safe = prove_strangers_are_refused(*context_, dialled_here(endpoint_),
                                            options_.keys->server.public_key);
    GRISTMILL_TRY(safe);
    zap_->start_logging();
  }
  thread_ = guarded_thread("gateway", [this] { run(); });
  return {};
}

void ZmqGateway::Thread::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  bell_.ring();
  thread_.join();
  socket_.close();
}

void ZmqGateway::Thread::send(std::vector<OutgoingFrame> frames) {
  for (const OutgoingFrame& frame : frames)
    GRISTMILL_CHECK(frame.bytes.size() <= limits::frame_bytes_max, "a frame of {} bytes",
                    frame.bytes.size());
  {
    const std::lock_guard lock{mutex_};
    std::move(frames.begin(), frames.end(), std::back_inserter(out_));
  }
  bell_.ring();
}

void ZmqGateway::Thread::run() {
  block_signals_of_this_thread();
  while (!stopping_) {
    if (wait()) receive_batch();
    look_at_keys();
    send_queued();
    tell_gone();
  }
}

bool ZmqGateway::Thread::wait() {
  const bool may_read = gauge_.may_read();
  std::array<zmq_pollitem_t, 2> items{
      {{socket_.handle(), 0, static_cast<short>(may_read ? ZMQ_POLLIN : 0), 0},
       {nullptr, bell_.fd(), ZMQ_POLLIN, 0}}};
  // A ROUTER does not say when one of its peers can take more, so those are asked again.
  const long patience_ms = zap_ ? to_ms(enrolment_recheck) : -1;
  if (::zmq_poll(items.data(), 2, waiting_.empty() ? patience_ms : retry_ms_) < 0) return false;
  if (items[1].revents != 0) bell_.answer();
  return items[0].revents != 0;
}

void ZmqGateway::Thread::receive_batch() {
  std::vector<ReceivedFrame> batch;
  zmq::message_t peer, body;
  for (int i = 0; i < batch_frames && gauge_.may_read() && receive_part(peer); ++i) {
    const bool whole = peer.more() && receive_part(body) && !body.more() && body.size() != 0;
    if (!whole) {
      drop_rest(body);
      continue;
    }
    ReceivedFrame frame;
    frame.peer = peer.to_string();
    if (!admitted(frame.peer, body, frame.user)) {
      ++dropped_;
      gone_.push_back(std::move(frame.peer));
      continue;
    }
    // A copy: a message may keep the decoder's whole buffer alive.
    frame.bytes = body.to_string();
    gauge_.received(frame.bytes.size());
    batch.push_back(std::move(frame));
  }
  if (!batch.empty()) events_.received(std::move(batch));
}

bool ZmqGateway::Thread::receive_part(zmq::message_t& part) {
  int got;
  do got = ::zmq_msg_recv(part.handle(), socket_.handle(), ZMQ_DONTWAIT);
  while (got < 0 && ::zmq_errno() == EINTR);
  return got >= 0;
}

void ZmqGateway::Thread::drop_rest(zmq::message_t& part) {
  ++dropped_;
  while (part.more() && receive_part(part)) {
  }
}

// Whether the sender's key is enrolled still: a removed worker is cut off within a second.
bool ZmqGateway::Thread::admitted(const PeerId& peer, zmq::message_t& body, std::string& user) {
  if (!zap_) return true;
  const char* key = ::zmq_msg_gets(body.handle(), "User-Id");
  if (key == nullptr) return false;
  const auto& name = name_of(key);
  if (!name) return false;
  user = *name;
  peers_[peer] = {key, boot_now()};
  return true;
}

const std::optional<std::string>& ZmqGateway::Thread::name_of(const std::string& key) {
  auto known = names_.find(key);
  if (known == names_.end())
    known = names_.emplace(key, options_.keys->enrolment->name_of(key)).first;
  return known->second;
}

// A peer whose key is removed is told nothing more, whether it speaks or not; COORDINATOR hears of
// it. Who has been silent for so long that its session is lost is forgotten.
void ZmqGateway::Thread::look_at_keys() {
  const Time now = boot_now();
  if (!zap_ || now < names_until_) return;
  names_.clear();
  names_until_ = now + enrolment_recheck;
  std::vector<PeerId> removed;
  std::erase_if(peers_, [&](const auto& entry) {
    const auto& [peer, known] = entry;
    const bool may_join = name_of(known.key).has_value();
    if (!may_join) {
      waiting_.drop(peer);
      removed.push_back(peer);
    }
    return !may_join || now - known.heard > 2 * defaults::silent_lost;
  });
  if (!removed.empty() && events_.removed) events_.removed(std::move(removed));
}

void ZmqGateway::Thread::send_queued() {
  if (!waiting_.empty()) {
    const bool progress = waiting_.retry(
        [this](const PeerId& peer, const std::string& bytes) { return try_send(peer, bytes); },
        gone_);
    retry_ms_ = progress ? retry_ms_min : std::min(2 * retry_ms_, retry_ms_max);
  }
  std::vector<OutgoingFrame> frames;
  {
    const std::lock_guard lock{mutex_};
    frames.swap(out_);
  }
  for (OutgoingFrame& frame : frames) {
    const Sent sent = waiting_.waits(frame.peer) ? Sent::full : try_send(frame.peer, frame.bytes);
    PeerId peer = frame.peer;
    if (sent == Sent::gone || (sent == Sent::full && !waiting_.push(std::move(frame))))
      gone_.push_back(std::move(peer));
  }
}

Sent ZmqGateway::Thread::try_send(const PeerId& peer, const std::string& bytes) {
  if (zap_ && !peers_.contains(peer)) return Sent::gone;
  const auto send_part = [this](const std::string& part, int flags) {
    int sent;
    do sent = ::zmq_send(socket_.handle(), part.data(), part.size(), ZMQ_DONTWAIT | flags);
    while (sent < 0 && ::zmq_errno() == EINTR);
    return sent >= 0;
  };
  if (!send_part(peer, ZMQ_SNDMORE)) {
    const int reason = ::zmq_errno();
    GRISTMILL_CHECK(reason == EAGAIN || reason == EHOSTUNREACH, "{}", ::zmq_strerror(reason));
    return reason == EAGAIN ? Sent::full : Sent::gone;
  }
  // The peer has room: its queue was looked at with the routing id.
  GRISTMILL_CHECK(send_part(bytes, 0), "{}", ::zmq_strerror(::zmq_errno()));
  return Sent::yes;
}

void ZmqGateway::Thread::tell_gone() {
  if (gone_.empty()) return;
  std::ranges::sort(gone_);
  gone_.erase(std::unique(gone_.begin(), gone_.end()), gone_.end());
  events_.gone(std::exchange(gone_, {}));
}

ZmqGateway::ZmqGateway(std::unique_ptr<Thread> thread) : thread_{std::move(thread)} {}
ZmqGateway::~ZmqGateway() = default;

Result<std::unique_ptr<ZmqGateway>> ZmqGateway::open(GatewayOptions options, GatewayEvents events) {
  GRISTMILL_TRY(check_listen_address(options.listen, options.keys.has_value()));
  try {
    auto thread = std::make_unique<Thread>(std::move(options), std::move(events));
    GRISTMILL_TRY(thread->open());
    return std::unique_ptr<ZmqGateway>{new ZmqGateway{std::move(thread)}};
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, std::string{"the gateway could not start: "} + error.what());
  }
}

void ZmqGateway::send(std::vector<OutgoingFrame> frames) {
  thread_->send(std::move(frames));
}
void ZmqGateway::consumed(std::size_t bytes) {
  thread_->consumed(bytes);
}
std::string ZmqGateway::endpoint() const {
  return thread_->endpoint();
}
std::uint64_t ZmqGateway::dropped_frames() const {
  return thread_->dropped();
}
void ZmqGateway::stop() {
  thread_->stop();
}

} // namespace gristmill::coordinator
