// The gateway on ZeroMQ: a thread that owns one ROUTER. It waits for its socket and its bell, never
// on a timer unless some peer's queue is full, and no peer can make it wait for another.
//
// A frame is one message of exactly two parts, the ROUTER's routing id and the bytes; anything else
// is dropped and counted. Across machines the socket speaks CURVE: an address that others can
// reach is not opened without keys, nor when the start-up test finds that a stranger gets in.
// Invariant: what waits in memory is bounded, by peer on the way out and in all on the way in.
#pragma once

#include "actors/coordinator/gateway.hpp"
#include "coordinator/gateway/allow_list.hpp"
#include "protocol/limits.hpp"

namespace gristmill::coordinator {

struct GatewayKeys {
  KeyPair server;
  std::shared_ptr<Enrolment> enrolment;
};

struct GatewayOptions {
  std::string listen; // tcp://HOST:PORT (port 0: any free one) or ipc://PATH
  std::optional<GatewayKeys> keys = {};
  std::function<void(const Event&)> log = {};
  std::size_t in_bytes_max = limits::gateway_in_bytes_max;
  std::size_t peer_out_bytes_max = limits::peer_out_bytes_max;
  int hwm_frames = limits::socket_hwm_frames;
};

class ZmqGateway : public Gateway {
public:
  // Listens, and proves that strangers are refused, before it returns. usage: the address or what
  // it would need; conflict: the address is in use.
  static Result<std::unique_ptr<ZmqGateway>> open(GatewayOptions options, GatewayEvents events);
  ~ZmqGateway() override;

  void send(std::vector<OutgoingFrame> frames) override;
  void consumed(std::size_t bytes) override;

  std::string endpoint() const;         // where it listens in truth
  std::uint64_t dropped_frames() const; // malformed, or of a key that is no longer enrolled
  void stop();                          // no event is told after it; again is harmless

private:
  class Thread;
  explicit ZmqGateway(std::unique_ptr<Thread> thread);
  std::unique_ptr<Thread> thread_;
};

} // namespace gristmill::coordinator
