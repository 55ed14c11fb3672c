// SPEECH: the numbered frames of one side of a session. What is said waits until it leaves, in as
// few frames as their bounds allow.
// Invariant: messages leave in the order in which they were said, each in one frame.
#pragma once

#include "protocol/node/codec.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::protocol {

class Speech {
public:
  void begin(); // a session: numbers begin anew, and what has not left is never said
  void say(Message message) { waiting_.push_back(std::move(message)); }
  void forget() { waiting_.clear(); } // what has not left
  const std::vector<Message>& waiting() const { return waiting_; }
  std::uint64_t seq() const { return seq_; } // of the last frame that left

  struct Left {
    std::uint64_t seq = 0;
    std::string bytes;
    std::vector<Message> messages;
  };
  // All that waits. The envelope's number is this class's to give.
  std::vector<Left> leave(Envelope envelope);

private:
  std::uint64_t seq_ = 0;
  std::vector<Message> waiting_;
};

} // namespace gristmill::protocol
