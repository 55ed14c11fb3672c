// ITEM LEDGER: what is known of the items that are neither unread nor terminal, and the set of the
// terminal ones. An item's raw bytes are not here: they are read again when it is tried again.
// Items wait in lanes. One may be the reason why an endpoint fails: those that were out at two
// failures which others survived go in small portions, so that few are out with it at the third;
// one of three goes alone. Invariant: an item that is terminal never changes, and is never live.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/kit/time.hpp"
#include "actors/supervisor/last_words.hpp"
#include "actors/words/item_set.hpp"
#include "protocol/ids.hpp"

#include <array>
#include <deque>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::supervisor {

enum class LiveState : std::uint8_t {
  ready,   // may be offered, now or from `not_before`
  out,     // offered to the coordinator or with a worker
  unknown, // after a restart: perhaps a worker is calling
};

// Where it waits for another attempt.
enum class Lane : std::uint8_t {
  open,
  portions, // out at two failures of an endpoint that others survived
  alone,    // … at three: tried while nothing else of the job is out
  behind,   // after an endpoint's fault, while no call that began since was answered: fresh items
            // go first
};
inline constexpr std::size_t lane_count = 4;
inline constexpr std::uint8_t suspicions_portion = 2, suspicions_alone = 3;

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
  bool retrying = false;     // it waits for another attempt, having had one
  Time not_before{};
  std::vector<EndpointId> failed_at;           // of late, the latest last
  std::shared_ptr<const LastWords> words = {}; // of its last failure that cost nothing yet
  Time behind_since = never;                   // it failed then, and waits as Lane says
  std::uint8_t suspicions = 0;                 // changed by the ledger only
  std::uint8_t alone_failures = 0;             // while it ran alone
  std::uint32_t losses = 0;                    // calls of it with which an endpoint went down
  std::uint32_t probes = 0;                    // … in vain, with nobody left to compare it with
  std::uint8_t refusals = 0;                   // each after another was answered
  std::uint64_t refused_after = 0;             // … so many had been, at the last
  std::uint64_t alone_after = 0; // it is tried alone when the job has had so many answers

  Lane lane() const {
    if (suspicions >= suspicions_alone) return Lane::alone;
    if (behind_since != never) return Lane::behind;
    return suspicions == suspicions_portion ? Lane::portions : Lane::open;
  }
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
  std::size_t waiting_count() const { return states_[0]; }
  std::size_t out_count() const { return live_.size() - states_[0]; }
  std::size_t waiting_count(Lane lane) const { return waiting_[static_cast<std::size_t>(lane)]; }
  std::size_t suspects() const { return suspects_; } // that were out at a failure others survived
  std::size_t retrying_count() const { return retrying_; } // that wait, having been tried before
  LiveItem* find(std::uint64_t item);

  // A new item, `out` or `unknown`.
  LiveItem& add(std::uint64_t item, LiveItem live);
  // Of one that is out or unknown: the other of the two.
  void set_state(LiveItem& live, LiveState state);
  // One of two calls is no more; the other is the item's call from now on.
  static void drop_twin(LiveItem& live, CallId gone);
  // Another attempt shall go elsewhere, if it can.
  static void failed_at(LiveItem& live, EndpointId endpoint);
  // Makes it due at its `not_before`, in its lane.
  void wait(std::uint64_t item, LiveItem& live, Time not_before);
  // An endpoint's fault met it: it waits behind others from then on.
  void fall_behind(std::uint64_t item, LiveItem& live, Time since);
  // It was out at one more failure of an endpoint that others survived. One that goes alone from
  // now on goes at once, while there are others to compare it with.
  void suspect(std::uint64_t item, LiveItem& live, Time now);
  void clear(std::uint64_t item, LiveItem& live); // … but that says nothing of it any more
  // A call that began then was answered: those that wait behind since an earlier failure go to the
  // lanes where they belong, and at once if they waited for an endpoint to be there at all; so do
  // those that go alone.
  void end_of_outage(Time began, Time now);

  // The next item of the lane that is due, now marked `out`; nullptr when none is.
  LiveItem* take_due(Lane lane, Time now, std::uint64_t& item);
  // The same of those that wait behind: the one with which an endpoint went down least often.
  LiveItem* take_probe(Time now, std::uint64_t& item);
  // Whichever lane it waits in.
  LiveItem* take(std::uint64_t item);
  Time next_due(Lane lane) const; // never when nothing waits there
  Time next_due() const;          // in any lane
  // Of the lane of portions: whether one more may go beside those that are out.
  bool portion_has_room() const;
  const std::set<std::uint64_t>& alone() const { return alone_; } // those of that lane, out or not
  // Returns false when it was terminal already.
  bool make_terminal(std::uint64_t item);
  const std::unordered_map<std::uint64_t, LiveItem>& live() const { return live_; }

private:
  struct Due {
    Time at;
    std::uint64_t order, item; // order: among those of the same time
    bool operator>(const Due& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  struct Behind {
    Time since;
    std::uint64_t item;
  };
  using Queue = std::priority_queue<Due, std::vector<Due>, std::greater<>>;
  void count(const LiveItem& live, int by);
  void leave_behind(LiveItem& live);
  void set_suspicions(std::uint64_t item, LiveItem& live, std::uint8_t suspicions);
  Queue& queue(Lane lane) const { return due_[static_cast<std::size_t>(lane)]; }
  void push(std::uint64_t item, const LiveItem& live);
  void forget_stale(Lane lane) const;

  ItemSet terminal_;
  std::unordered_map<std::uint64_t, LiveItem> live_;
  // May hold entries of items that no longer wait there; they are skipped when met.
  mutable std::array<Queue, lane_count> due_;
  std::deque<Behind> behind_;                     // … likewise, in the order of their failures
  std::array<std::size_t, 3> states_{};           // how many are in each
  std::array<std::size_t, lane_count> waiting_{}; // how many wait in each
  std::size_t retrying_ = 0, suspects_ = 0;
  // Of items with suspicions_portion: how many there are, and were at most since there was none.
  std::size_t in_portions_ = 0, out_in_portions_ = 0, most_in_portions_ = 0;
  std::set<std::uint64_t> alone_;
};

} // namespace gristmill::supervisor
