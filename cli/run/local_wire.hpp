// LOCAL WIRE: what stands between a coordinator and the workers of its own process. Its gateway and
// its links hand frames over by a call on the sender's thread: no socket, no thread, no copy.
// Invariants: a link is up while it lives; frames of one sender keep their order; what waits is
// bounded by what the nodes allow each other, as behind any socket.
#pragma once

#include "actors/coordinator/gateway.hpp"
#include "actors/worker/link.hpp"

#include <map>
#include <memory>
#include <shared_mutex>

namespace gristmill::cli {

class LocalWire : public std::enable_shared_from_this<LocalWire> {
public:
  // The gateway first, and once.
  std::unique_ptr<coordinator::Gateway> gateway(coordinator::GatewayEvents events);
  std::unique_ptr<worker::Link> link(worker::LinkEvents events);

private:
  class GatewayEnd;
  class LinkEnd;

  void to_workers(std::vector<coordinator::OutgoingFrame> frames);
  void to_coordinator(const coordinator::PeerId& from, std::vector<std::string> frames);
  void unplug_coordinator();
  void unplug(const coordinator::PeerId& peer);

  std::shared_mutex mutex_; // shared while frames pass
  coordinator::GatewayEvents coordinator_;
  std::map<coordinator::PeerId, worker::LinkEvents> workers_;
  std::uint64_t plugged_ = 0; // links so far
};

} // namespace gristmill::cli
