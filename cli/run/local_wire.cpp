#include "cli/run/local_wire.hpp"

#include <algorithm>
#include <mutex>

namespace gristmill::cli {

using coordinator::OutgoingFrame;
using coordinator::PeerId;

class LocalWire::GatewayEnd final : public coordinator::Gateway {
public:
  explicit GatewayEnd(std::shared_ptr<LocalWire> wire) : wire_{std::move(wire)} {}
  ~GatewayEnd() override { wire_->unplug_coordinator(); }
  void send(std::vector<OutgoingFrame> frames) override { wire_->to_workers(std::move(frames)); }
  void consumed(std::size_t) override {}

private:
  std::shared_ptr<LocalWire> wire_;
};

class LocalWire::LinkEnd final : public worker::Link {
public:
  LinkEnd(std::shared_ptr<LocalWire> wire, PeerId me)
      : wire_{std::move(wire)}, me_{std::move(me)} {}
  ~LinkEnd() override { wire_->unplug(me_); }
  void send(std::vector<std::string> frames) override {
    wire_->to_coordinator(me_, std::move(frames));
  }
  void consumed(std::size_t) override {}

private:
  std::shared_ptr<LocalWire> wire_;
  PeerId me_;
};

std::unique_ptr<coordinator::Gateway> LocalWire::gateway(coordinator::GatewayEvents events) {
  const std::unique_lock lock{mutex_};
  coordinator_ = std::move(events);
  return std::make_unique<GatewayEnd>(shared_from_this());
}

std::unique_ptr<worker::Link> LocalWire::link(worker::LinkEvents events) {
  const auto up = events.up;
  PeerId me;
  {
    const std::unique_lock lock{mutex_};
    me = "local-" + std::to_string(++plugged_);
    workers_.emplace(me, std::move(events));
  }
  up();
  return std::make_unique<LinkEnd>(shared_from_this(), std::move(me));
}

void LocalWire::to_workers(std::vector<OutgoingFrame> frames) {
  const std::shared_lock lock{mutex_};
  std::vector<PeerId> gone;
  // Frames that stand together for one peer arrive together.
  for (auto from = frames.begin(); from != frames.end();) {
    const auto to = std::find_if(from, frames.end(),
                                 [&](const OutgoingFrame& f) { return f.peer != from->peer; });
    const auto worker = workers_.find(from->peer);
    if (worker == workers_.end()) {
      gone.push_back(from->peer);
    } else {
      std::vector<std::string> bytes;
      bytes.reserve(static_cast<std::size_t>(to - from));
      for (auto frame = from; frame != to; ++frame) bytes.push_back(std::move(frame->bytes));
      worker->second.received(std::move(bytes));
    }
    from = to;
  }
  if (!gone.empty() && coordinator_.gone) coordinator_.gone(std::move(gone));
}

void LocalWire::to_coordinator(const PeerId& from, std::vector<std::string> frames) {
  const std::shared_lock lock{mutex_};
  if (!coordinator_.received) return;
  std::vector<coordinator::ReceivedFrame> received;
  received.reserve(frames.size());
  for (std::string& bytes : frames) received.push_back({from, "", std::move(bytes)});
  coordinator_.received(std::move(received));
}

void LocalWire::unplug_coordinator() {
  const std::unique_lock lock{mutex_};
  coordinator_ = {};
}

void LocalWire::unplug(const PeerId& peer) {
  const std::unique_lock lock{mutex_};
  workers_.erase(peer);
}

} // namespace gristmill::cli
