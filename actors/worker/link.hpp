// LINK: the window through which a worker sees its coordinator. It reconnects by itself; `up` is
// told when a connection is ready (after CURVE's handshake), `down` when it is gone. A frame sent
// while it is down is dropped: the outbox, not the link, keeps what matters.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace gristmill::worker {

class Link {
public:
  virtual ~Link() = default;
  virtual void send(std::vector<std::string> frames) = 0; // any thread; never blocks
  virtual void consumed(std::size_t bytes) = 0;
};

struct LinkEvents {
  std::function<void(std::vector<std::string>)> received;
  std::function<void()> up;
  std::function<void(std::string why)>
      down; // why: a sentence, for instance that the key was refused
};

} // namespace gristmill::worker
