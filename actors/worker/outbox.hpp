// OUTBOX: outcomes that the coordinator has not recorded. It alone keeps what was paid for; the
// link may lose anything. Invariant: an outcome leaves it only by Recorded or by the coordinator's
// word that nobody wants it.
#pragma once

#include "protocol/node/messages.hpp"

#include <map>
#include <vector>

namespace gristmill::worker {

class Outbox {
public:
  void add(protocol::Outcome outcome) {
    const std::size_t bytes = outcome.bytes();
    if (outcomes_.try_emplace(outcome.attempt, std::move(outcome)).second) bytes_ += bytes;
  }
  void remove(AttemptId attempt) {
    const auto it = outcomes_.find(attempt);
    if (it == outcomes_.end()) return;
    bytes_ -= it->second.bytes();
    outcomes_.erase(it);
  }
  const protocol::Outcome* find(AttemptId attempt) const {
    const auto it = outcomes_.find(attempt);
    return it == outcomes_.end() ? nullptr : &it->second;
  }
  bool empty() const { return outcomes_.empty(); }
  std::size_t size() const { return outcomes_.size(); }
  std::size_t bytes() const { return bytes_; }
  const std::map<AttemptId, protocol::Outcome>& outcomes() const { return outcomes_; }

private:
  std::map<AttemptId, protocol::Outcome> outcomes_;
  std::size_t bytes_ = 0;
};

} // namespace gristmill::worker
