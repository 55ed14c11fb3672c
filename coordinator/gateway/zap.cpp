#include "coordinator/gateway/zap.hpp"

#include "actors/kit/guarded_thread.hpp"
#include "actors/kit/socket_thread.hpp"
#include "protocol/text/z85.hpp"

#include <array>
#include <chrono>
#include <fmt/format.h>
#include <thread>
#include <vector>
#include <zmq.hpp>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t raw_key_bytes = 32;
constexpr std::chrono::seconds self_test_patience{10};

// A request of RFC 27: version, id, domain, address, identity, mechanism, credentials.
struct Request {
  std::string id, domain, address, mechanism, credentials;
  bool valid = false;
};

Request receive_request(zmq::socket_t& socket) {
  std::vector<std::string> parts;
  zmq::message_t part;
  do {
    if (!socket.recv(part)) break;
    parts.push_back(part.to_string());
  } while (part.more());
  if (parts.size() < 2) return {};
  Request request;
  request.id = parts[1];
  request.valid = parts.size() == 7 && parts[0] == "1.0";
  if (!request.valid) return request;
  request.domain = parts[2];
  request.address = parts[3];
  request.mechanism = parts[5];
  request.credentials = parts[6];
  return request;
}

void reply(zmq::socket_t& socket, const std::string& id, const std::string& status,
           const std::string& text, const std::string& user) {
  const std::array<const std::string, 5> parts{"1.0", id, status, text, user};
  for (const std::string& part : parts) socket.send(zmq::buffer(part), zmq::send_flags::sndmore);
  socket.send(zmq::message_t{}, zmq::send_flags::none);
}

} // namespace

class Zap::Thread {
public:
  Thread(std::shared_ptr<zmq::context_t> context, std::shared_ptr<Enrolment> enrolment,
         std::function<void(const Event&)> log)
      : context_{std::move(context)}, enrolment_{std::move(enrolment)}, log_{std::move(log)},
        socket_{*context_, zmq::socket_type::rep} {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.bind("inproc://zeromq.zap.01");
    thread_ = guarded_thread("key checker", [this] { run(); });
  }
  ~Thread() {
    stopping_ = true;
    bell_.ring();
    thread_.join();
  }

  void start_logging() { logging_ = true; }

private:
  void run() {
    block_signals_of_this_thread();
    while (!stopping_) {
      std::array<zmq_pollitem_t, 2> items{
          {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, bell_.fd(), ZMQ_POLLIN, 0}}};
      if (::zmq_poll(items.data(), 2, -1) <= 0) continue;
      if (items[1].revents != 0) bell_.answer();
      if (items[0].revents != 0) answer(receive_request(socket_));
    }
  }

  void answer(const Request& request) {
    if (!request.valid) return reply(socket_, request.id, "500", "not understood", "");
    std::string key;
    std::optional<std::string> name;
    if (request.mechanism == "CURVE" && request.domain == zap_domain &&
        request.credentials.size() == raw_key_bytes) {
      key = z85_encode(request.credentials);
      name = enrolment_->name_of(key);
    }
    if (name) return reply(socket_, request.id, "200", "OK", key);
    if (log_ && logging_)
      log_({"worker.refused",
            {{"address", request.address}, {"key", key}, {"mechanism", request.mechanism}},
            true});
    reply(socket_, request.id, "400", "this key is not enrolled", "");
  }

  std::shared_ptr<zmq::context_t> context_;
  std::shared_ptr<Enrolment> enrolment_;
  std::function<void(const Event&)> log_;
  zmq::socket_t socket_;
  Bell bell_;
  std::atomic<bool> stopping_{false}, logging_{false};
  std::thread thread_;
};

Zap::Zap(std::unique_ptr<Thread> thread) : thread_{std::move(thread)} {}
Zap::~Zap() = default;
void Zap::start_logging() {
  thread_->start_logging();
}

Result<std::unique_ptr<Zap>> Zap::start(std::shared_ptr<zmq::context_t> context,
                                        std::shared_ptr<Enrolment> enrolment,
                                        std::function<void(const Event&)> log) {
  try {
    return std::unique_ptr<Zap>{new Zap{
        std::make_unique<Thread>(std::move(context), std::move(enrolment), std::move(log))}};
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal,
                fmt::format("the key checker could not start: {}", error.what()));
  }
}

namespace {

// What became of one handshake, as the dialling side sees it.
class Handshake : public zmq::monitor_t {
public:
  enum class End { unknown, let_in, refused_by_list, turned_away };

  End wait() {
    const auto deadline = std::chrono::steady_clock::now() + self_test_patience;
    while (end_ == End::unknown && std::chrono::steady_clock::now() < deadline) check_event(100);
    return end_;
  }

private:
  void on_event_handshake_succeeded(const zmq_event_t&, const char*) override {
    end_ = End::let_in;
  }
  void on_event_handshake_failed_auth(const zmq_event_t&, const char*) override {
    end_ = End::refused_by_list;
  }
  void on_event_handshake_failed_protocol(const zmq_event_t&, const char*) override {
    end_ = End::turned_away;
  }
  void on_event_handshake_failed_no_detail(const zmq_event_t&, const char*) override {
    end_ = End::turned_away;
  }

  End end_ = End::unknown;
};

Handshake::End dial(zmq::context_t& context, const std::string& endpoint,
                    const std::string& server_key) {
  zmq::socket_t stranger{context, zmq::socket_type::dealer};
  stranger.set(zmq::sockopt::linger, 0);
  if (!server_key.empty()) {
    const KeyPair fresh = make_key_pair();
    stranger.set(zmq::sockopt::curve_serverkey, server_key);
    stranger.set(zmq::sockopt::curve_publickey, fresh.public_key);
    stranger.set(zmq::sockopt::curve_secretkey, fresh.secret_key);
  }
  static std::atomic<unsigned> dials{0};
  Handshake handshake;
  handshake.init(stranger, fmt::format("inproc://gristmill.self-test.{}", ++dials));
  stranger.connect(endpoint);
  return handshake.wait();
}

} // namespace

Result<> prove_strangers_are_refused(zmq::context_t& context, const std::string& endpoint,
                                     const std::string& server_key) {
  using End = Handshake::End;
  try {
    const End keyless = dial(context, endpoint, "");
    if (keyless == End::let_in)
      return fail(
          ErrorCode::internal,
          fmt::format("self-test: {} let a peer without a key in; it must not serve", endpoint));
    const End fresh = dial(context, endpoint, server_key);
    if (fresh == End::let_in)
      return fail(ErrorCode::internal,
                  fmt::format("self-test: {} let a key in that nobody enrolled; it must not serve",
                              endpoint));
    if (fresh != End::refused_by_list || keyless == End::unknown)
      return fail(ErrorCode::internal,
                  fmt::format("self-test: {} did not show that it refuses strangers (its handshake "
                              "did not end as expected); it must not serve",
                              endpoint));
    return {};
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, fmt::format("self-test: {}: {}", endpoint, error.what()));
  }
}

} // namespace gristmill::coordinator
