#include "actors/supervisor/item_ledger.hpp"

#include "actors/kit/check.hpp"

namespace gristmill::supervisor {

LiveItem* ItemLedger::find(std::uint64_t item) {
  const auto it = live_.find(item);
  return it == live_.end() ? nullptr : &it->second;
}

LiveItem& ItemLedger::add(std::uint64_t item, LiveItem live) {
  GRISTMILL_CHECK(!terminal_.contains(item), "item {} is terminal", item);
  GRISTMILL_CHECK(live.state != LiveState::ready, "item {} must be out or unknown", item);
  const auto [it, added] = live_.emplace(item, std::move(live));
  GRISTMILL_CHECK(added, "item {} is live already", item);
  return it->second;
}

void ItemLedger::drop_twin(LiveItem& live, CallId gone) {
  GRISTMILL_CHECK(live.twin && live.is_out_with(gone), "call {} has no twin", gone.value);
  if (live.call == gone) {
    live.call = live.twin;
  }
  live.twin = CallId{};
}

void ItemLedger::failed_at(LiveItem& live, EndpointId endpoint) {
  constexpr std::size_t remembered = 4;
  if (!endpoint) return;
  std::erase(live.failed_at, endpoint);
  if (live.failed_at.size() == remembered) live.failed_at.erase(live.failed_at.begin());
  live.failed_at.push_back(endpoint);
}

void ItemLedger::wait(std::uint64_t item, LiveItem& live, Time not_before) {
  if (live.state != LiveState::ready) ++waiting_;
  live.state = LiveState::ready;
  live.not_before = not_before;
  due_.push({not_before, item});
}

void ItemLedger::forget_stale() const {
  while (!due_.empty()) {
    const auto it = live_.find(due_.top().item);
    if (it != live_.end() && it->second.state == LiveState::ready &&
        it->second.not_before == due_.top().at)
      return;
    due_.pop();
  }
}

LiveItem* ItemLedger::take_due(Time now, std::uint64_t& item) {
  forget_stale();
  if (due_.empty() || due_.top().at > now) return nullptr;
  item = due_.top().item;
  due_.pop();
  LiveItem& live = live_.at(item);
  live.state = LiveState::out;
  --waiting_;
  return &live;
}

Time ItemLedger::next_due() const {
  forget_stale();
  return due_.empty() ? never : due_.top().at;
}

bool ItemLedger::make_terminal(std::uint64_t item) {
  if (!terminal_.insert(item)) return false;
  const auto it = live_.find(item);
  if (it != live_.end()) {
    if (it->second.state == LiveState::ready) --waiting_;
    live_.erase(it);
  }
  return true;
}

} // namespace gristmill::supervisor
