#include "slots.hpp"

namespace gristmill::simllm {

bool Slots::take(Ticket ticket) {
  if (free() && line_.empty()) {
    ++taken_;
    return true;
  }
  line_.push_back(ticket);
  return false;
}

std::optional<Ticket> Slots::give_back() {
  --taken_;
  return next();
}

std::vector<Ticket> Slots::set_limit(std::uint64_t limit) {
  limit_ = limit;
  std::vector<Ticket> started;
  while (const auto ticket = next()) started.push_back(*ticket);
  return started;
}

std::optional<Ticket> Slots::next() {
  if (!free() || line_.empty()) return std::nullopt;
  ++taken_;
  const Ticket ticket = line_.front();
  line_.pop_front();
  return ticket;
}

} // namespace gristmill::simllm
