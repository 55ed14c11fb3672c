#include "actors/supervisor/item_ledger.hpp"

#include "actors/kit/check.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::supervisor {

LiveItem* ItemLedger::find(std::uint64_t item) {
  const auto it = live_.find(item);
  return it == live_.end() ? nullptr : &it->second;
}

void ItemLedger::count(const LiveItem& live, int by) {
  const auto change = static_cast<std::size_t>(by); // below 0 it wraps, and so does the sum
  states_[static_cast<std::size_t>(live.state)] += change;
  if (live.state == LiveState::ready) waiting_[static_cast<std::size_t>(live.lane())] += change;
  if (live.suspicions > 0) suspects_ += change;
  if (live.suspicions != suspicions_portion) return;
  in_portions_ += change;
  if (live.state != LiveState::ready) out_in_portions_ += change;
  most_in_portions_ = in_portions_ == 0 ? 0 : std::max(most_in_portions_, in_portions_);
}

// Suspects go before others, which are left to compare them with, and in an order that says nothing
// of the input's, so that the one that is sought is not always the last.
void ItemLedger::push(std::uint64_t item, const LiveItem& live) {
  constexpr std::uint64_t behind_suspects = std::uint64_t{1} << 63;
  const Lane lane = live.lane();
  const bool in_order = lane == Lane::open && live.suspicions == 0;
  const std::uint64_t order = in_order ? behind_suspects | item : (item * 0x9e3779b97f4a7c15u) >> 1;
  queue(lane).push({live.not_before, order, item});
}

LiveItem& ItemLedger::add(std::uint64_t item, LiveItem live) {
  GRISTMILL_CHECK(!terminal_.contains(item), "item {} is terminal", item);
  GRISTMILL_CHECK(live.state != LiveState::ready, "item {} must be out or unknown", item);
  const auto [it, added] = live_.emplace(item, std::move(live));
  GRISTMILL_CHECK(added, "item {} is live already", item);
  count(it->second, 1);
  if (it->second.lane() == Lane::alone) alone_.insert(item);
  return it->second;
}

void ItemLedger::set_state(LiveItem& live, LiveState state) {
  count(live, -1);
  live.state = state;
  count(live, 1);
  if (state != LiveState::ready) retrying_ -= std::exchange(live.retrying, false);
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
  retrying_ -= live.retrying;
  set_state(live, LiveState::ready);
  // One that was only held, or came back unsent, has not been tried.
  live.retrying = live.tries > 0 || live.deaths > 0;
  retrying_ += live.retrying;
  live.not_before = not_before;
  if (live.behind_since != never) behind_.push_back({live.behind_since, item});
  push(item, live);
}

// It may wait already: a call that was given up may be told of later.
void ItemLedger::fall_behind(std::uint64_t item, LiveItem& live, Time since) {
  count(live, -1);
  live.behind_since = since;
  count(live, 1);
  if (live.state != LiveState::ready) return;
  behind_.push_back({since, item});
  push(item, live);
}

void ItemLedger::set_suspicions(std::uint64_t item, LiveItem& live, std::uint8_t suspicions) {
  count(live, -1);
  live.suspicions = suspicions;
  count(live, 1);
  if (live.lane() == Lane::alone) {
    alone_.insert(item);
  } else {
    alone_.erase(item);
  }
  if (live.state == LiveState::ready) push(item, live);
}

void ItemLedger::suspect(std::uint64_t item, LiveItem& live, Time now) {
  if (live.suspicions == suspicions_alone) return;
  if (live.suspicions + 1 == suspicions_alone) live.not_before = std::min(live.not_before, now);
  set_suspicions(item, live, static_cast<std::uint8_t>(live.suspicions + 1));
}

void ItemLedger::clear(std::uint64_t item, LiveItem& live) {
  live.alone_failures = 0;
  if (live.suspicions > 0) set_suspicions(item, live, 0);
}

void ItemLedger::end_of_outage(Time began, Time now) {
  for (; !behind_.empty() && behind_.front().since <= began; behind_.pop_front()) {
    const auto [since, item] = behind_.front();
    LiveItem* live = find(item);
    if (live == nullptr || live->state != LiveState::ready || live->behind_since != since) continue;
    count(*live, -1);
    live->behind_since = never;
    count(*live, 1);
    const OutcomeClassInfo& failed = info(live->words ? live->words->cls : OutcomeClass::ok);
    const bool alone = live->lane() == Lane::alone;
    // All at the same time, or the one that failed last, who may be the one that is sought, would
    // be among the last.
    if (failed.news == EndpointNews::away || (alone && failed.is_endpoints()))
      live->not_before = now;
    push(item, *live);
  }
}

void ItemLedger::forget_stale(Lane lane) const {
  Queue& due = queue(lane);
  while (!due.empty()) {
    const auto it = live_.find(due.top().item);
    if (it != live_.end() && it->second.state == LiveState::ready && it->second.lane() == lane &&
        it->second.not_before == due.top().at)
      return;
    due.pop();
  }
}

LiveItem* ItemLedger::take_due(Lane lane, Time now, std::uint64_t& item) {
  if (next_due(lane) > now) return nullptr;
  item = queue(lane).top().item;
  queue(lane).pop();
  return take(item);
}

LiveItem* ItemLedger::take_probe(Time now, std::uint64_t& item) {
  constexpr std::size_t looked_at = 16;
  Queue& behind = queue(Lane::behind);
  std::vector<Due> due;
  while (due.size() < looked_at && next_due(Lane::behind) <= now) {
    due.push_back(behind.top());
    behind.pop();
  }
  if (due.empty()) return nullptr;
  const auto least = std::min_element(due.begin(), due.end(), [&](const Due& a, const Due& b) {
    return live_.at(a.item).losses < live_.at(b.item).losses;
  });
  item = least->item;
  due.erase(least);
  for (const Due& other : due) behind.push(other);
  return take(item);
}

LiveItem* ItemLedger::take(std::uint64_t item) {
  LiveItem& live = live_.at(item);
  GRISTMILL_CHECK(live.state == LiveState::ready, "item {} does not wait", item);
  set_state(live, LiveState::out);
  live.behind_since = never;
  return &live;
}

Time ItemLedger::next_due(Lane lane) const {
  forget_stale(lane);
  return queue(lane).empty() ? never : queue(lane).top().at;
}

Time ItemLedger::next_due() const {
  Time at = never;
  for (std::size_t lane = 0; lane < lane_count; ++lane)
    at = std::min(at, next_due(static_cast<Lane>(lane)));
  return at;
}

// A square root of them: as many portions as items of one that are then tried alone.
bool ItemLedger::portion_has_room() const {
  return out_in_portions_ * out_in_portions_ < most_in_portions_;
}

bool ItemLedger::make_terminal(std::uint64_t item) {
  if (!terminal_.insert(item)) return false;
  const auto it = live_.find(item);
  if (it != live_.end()) {
    count(it->second, -1);
    retrying_ -= it->second.retrying;
    alone_.erase(item);
    live_.erase(it);
  }
  return true;
}

} // namespace gristmill::supervisor
