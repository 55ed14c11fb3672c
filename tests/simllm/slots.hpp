// The model's slots: at most N calls are answered at a time, the others wait in line without a
// word, as they do in front of a real inference server.
//
// A ticket names a waiting call; it is handed back when its turn has come, and from then on the
// call holds a slot until `give_back`. A call that has gone away meanwhile still gets its turn, and
// its owner gives the slot back at once: that costs less than searching the line.
// Invariant: tickets come out in the order they went in, and never more than N hold a slot, except
// while a lowered N waits for slots to come back.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace gristmill::simllm {

struct Ticket {
  std::uint32_t loop = 0;       // the event loop that serves the connection
  std::uint32_t connection = 0; // its index there
  std::uint64_t call = 0;       // the call's arrival number: tells a reused index from the old one
};

class Slots {
public:
  explicit Slots(std::uint64_t limit) : limit_(limit) {} // 0: no limit

  bool take(Ticket ticket); // false: it waits in line
  std::optional<Ticket> give_back();
  std::vector<Ticket> set_limit(std::uint64_t limit);

  std::uint64_t running() const { return taken_; }
  std::size_t waiting() const { return line_.size(); }

private:
  bool free() const { return limit_ == 0 || taken_ < limit_; }
  std::optional<Ticket> next();

  std::uint64_t limit_;
  std::uint64_t taken_ = 0;
  std::deque<Ticket> line_;
};

} // namespace gristmill::simllm
