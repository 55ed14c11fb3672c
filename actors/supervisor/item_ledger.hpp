// ITEM LEDGER: what is known of the items that are neither unread nor terminal, and the set of the
// terminal ones. An item's raw bytes are not here: they are read again when it is tried again.
// Invariant: an item that is terminal never changes, and is never live.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/kit/item_set.hpp"
#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::supervisor {

enum class LiveState : std::uint8_t {
  ready,   // may be offered, now or from `not_before`
  out,     // offered to the coordinator or with a worker
  unknown, // after a restart: perhaps a worker is calling
};

struct LiveItem {
  LiveState state = LiveState::ready;
  intake::Place place;
  std::string id;
  CallId call;           // of the last offer
  CallId twin;           // a second call of it, offered while the first one flies
  bool hedged = false;   // … and it had one already, though perhaps no more
  Time begun_at = never; // when `call` got its permit, where that is told
  EndpointId begun_where;
  std::uint32_t tries = 0;    // attempts that ended
  std::uint32_t consumed = 0; // those that count against --retries
  std::uint32_t deaths = 0;
  bool on_fallback = false;  // its calls ask for the fallback model; `consumed` counts them alone
  bool has_fallback = false; // … and there is one, as seen when it was last offered
  Time not_before{};
  std::vector<EndpointId> failed_at; // of late, the latest last

  bool is_out_with(CallId c) const {
    return state == LiveState::out && (call == c || (twin && twin == c));
  }
};

class ItemLedger {
public:
  explicit ItemLedger(ItemSet terminal = {}) : terminal_{std::move(terminal)} {}

  bool is_terminal(std::uint64_t item) const { return terminal_.contains(item); }
  std::uint64_t low() const { return terminal_.low(); }
  std::size_t live_count() const { return live_.size(); }
  std::size_t waiting_count() const { return waiting_; } // for another attempt
  LiveItem* find(std::uint64_t item);

  // A new item, `out` or `unknown`.
  LiveItem& add(std::uint64_t item, LiveItem live);
  // One of two calls is no more; the other is the item's call from now on.
  static void drop_twin(LiveItem& live, CallId gone);
  // Another attempt shall go elsewhere, if it can.
  static void failed_at(LiveItem& live, EndpointId endpoint);
  // Makes it due at its `not_before`.
  void wait(std::uint64_t item, LiveItem& live, Time not_before);
  // The next item that is due, now marked `out`; nullptr when none is.
  LiveItem* take_due(Time now, std::uint64_t& item);
  Time next_due() const; // never when nothing waits
  // Returns false when it was terminal already.
  bool make_terminal(std::uint64_t item);
  const std::unordered_map<std::uint64_t, LiveItem>& live() const { return live_; }

private:
  struct Due {
    Time at;
    std::uint64_t item;
    bool operator>(const Due& other) const {
      return at != other.at ? at > other.at : item > other.item;
    }
  };
  void forget_stale() const;

  ItemSet terminal_;
  std::unordered_map<std::uint64_t, LiveItem> live_;
  // May hold entries of items that are no longer waiting; they are skipped when met.
  mutable std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::size_t waiting_ = 0;
};

} // namespace gristmill::supervisor
