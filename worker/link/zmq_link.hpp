// The link on ZeroMQ: a thread that owns one DEALER and its monitor.
//
//   dialling --handshake--> up --connection ends--> down: a fresh socket after a pause --> dialling
//       '------- refused, or not understood --------^
//
// ZeroMQ dials again by itself while nobody answers, but gives up for good when a handshake is
// refused, and a reconnected socket still holds frames of before. So a connection that has ended is
// never continued: the socket is replaced. Each reason for being down is told once until it
// changes. Invariant: a frame is sent on the connection that was up when the thread took it, or
// dropped.
#pragma once

#include "actors/worker/link.hpp"
#include "protocol/keys/access.hpp"
#include "protocol/limits.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace gristmill::worker {

struct LinkOptions {
  std::string coordinator; // tcp://HOST:PORT or ipc://PATH
  std::optional<WorkerAccess> access = {};
  std::size_t in_bytes_max = limits::gateway_in_bytes_max;
  std::size_t out_bytes_max = limits::peer_out_bytes_max;
  int hwm_frames = limits::socket_hwm_frames;
  std::chrono::milliseconds farewell{500}; // at most, for what stop() finds unsent
};

class ZmqLink : public Link {
public:
  // usage: an address that is none, or that must not be used without keys. A coordinator that is
  // not there yet is no error.
  static Result<std::unique_ptr<ZmqLink>> open(LinkOptions options, LinkEvents events);
  ~ZmqLink() override;

  void send(std::vector<std::string> frames) override;
  void consumed(std::size_t bytes) override;
  void stop(); // lets what was sent leave, but not for long; no event is told after it

private:
  class Thread;
  explicit ZmqLink(std::unique_ptr<Thread> thread);
  std::unique_ptr<Thread> thread_;
};

} // namespace gristmill::worker
