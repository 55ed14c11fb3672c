// GATEWAY: the window through which a coordinator sees its workers. A peer is one connection; who
// is behind it is said by its key (user) and its Hello. Nothing here proves delivery: a frame that
// was sent may be lost with its connection.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gristmill::coordinator {

using PeerId = std::string; // the connection's routing id: opaque, never reused while it lives

struct ReceivedFrame {
  PeerId peer;
  std::string user; // the name that the peer's key is enrolled under; "" without CURVE
  std::string bytes;
};

struct OutgoingFrame {
  PeerId peer;
  std::string bytes;
};

class Gateway {
public:
  virtual ~Gateway() = default;
  // Any thread; never blocks. Frames of one peer keep their order.
  virtual void send(std::vector<OutgoingFrame> frames) = 0;
  // The receiver has handled frames of this many bytes: reading goes on below the bound.
  virtual void consumed(std::size_t bytes) = 0;
};

// Where a gateway delivers; called on the gateway's thread.
struct GatewayEvents {
  std::function<void(std::vector<ReceivedFrame>)> received;
  std::function<void(std::vector<PeerId>)>
      gone; // unreachable, or too slow: the peer's frames are dropped
  // Their keys may not join any more: nothing is sent to them.
  std::function<void(std::vector<PeerId>)> removed = {};
};

} // namespace gristmill::coordinator
