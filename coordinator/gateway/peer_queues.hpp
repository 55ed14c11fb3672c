// Frames that wait because their peer's connection is full, each peer's in order. Plain: the
// gateway says how to send. Invariant: no peer's waiting bytes exceed the bound.
#pragma once

#include "actors/coordinator/gateway.hpp"

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::coordinator {

enum class Sent { yes, full, gone };

class PeerQueues {
public:
  explicit PeerQueues(std::size_t peer_bytes_max) : peer_bytes_max_{peer_bytes_max} {}

  bool empty() const { return peers_.empty(); }
  bool waits(const PeerId& peer) const { return peers_.contains(peer); }

  // False: the peer is too slow; everything that waited for it is dropped.
  bool push(OutgoingFrame frame) {
    Queue& queue = peers_[frame.peer];
    queue.bytes += frame.bytes.size();
    if (queue.bytes > peer_bytes_max_) {
      peers_.erase(frame.peer);
      return false;
    }
    queue.frames.push_back(std::move(frame.bytes));
    return true;
  }

  void drop(const PeerId& peer) { peers_.erase(peer); } // it may not be told anything more

  // try_send(peer, bytes) -> Sent. Returns whether anything left; adds who is gone.
  template <class TrySend> bool retry(TrySend&& try_send, std::vector<PeerId>& gone) {
    bool progress = false;
    for (auto peer = peers_.begin(); peer != peers_.end();) {
      Queue& queue = peer->second;
      Sent sent = Sent::yes;
      while (!queue.frames.empty() &&
             (sent = try_send(peer->first, queue.frames.front())) == Sent::yes) {
        queue.bytes -= queue.frames.front().size();
        queue.frames.pop_front();
        progress = true;
      }
      if (sent == Sent::gone) gone.push_back(peer->first);
      peer = sent == Sent::full ? std::next(peer) : peers_.erase(peer);
    }
    return progress;
  }

private:
  struct Queue {
    std::deque<std::string> frames;
    std::size_t bytes = 0;
  };

  const std::size_t peer_bytes_max_;
  std::unordered_map<PeerId, Queue> peers_;
};

} // namespace gristmill::coordinator
