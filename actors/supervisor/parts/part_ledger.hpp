// PART LEDGER: the parts that have been read and are not terminal, and the set of terminal items. A
// part's bytes are not kept: they are read again when it is tried again.
// Ready parts wait in lanes, because one of them may be what makes an endpoint fail. A part that
// was out at two failures which others survived goes in small portions, so that few are out with it
// at the third; after three it goes alone. Most items have one part and end with it; an item of
// several parts is terminal only when its joined line is durable.
// Invariant: a terminal item never changes and has no open part; a part that ended never opens
// again.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/kit/time.hpp"
#include "actors/supervisor/parts/divided_item.hpp"
#include "actors/supervisor/parts/part_tally.hpp"
#include "actors/words/item_set.hpp"
#include "actors/words/look_up.hpp"
#include "actors/words/records.hpp"
#include "actors/words/streams.hpp"
#include "protocol/ids.hpp"
#include "protocol/node/messages.hpp"

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace gristmill::supervisor {

// May be offered from then on. `lost`: the call that it came back from, which may yet be told of.
struct Ready {
  Time not_before{};
  CallId lost;
};
// In a call that is offered to the coordinator, or with a worker.
struct Out {
  CallId call;
  bool is_prepared = false; // with none yet: what it asks is being made, or looked up
};
// After a restart: perhaps a worker is calling. `failed`: a call of it that has failed, as is
// known.
struct Unknown {
  CallId failed;
};
// Another part asks the same, and its answer is waited for.
struct Following {};
using PartState = std::variant<Ready, Out, Unknown, Following>;

// Where a part waits for another attempt.
enum class Lane : std::uint8_t {
  open,
  portions, // out at two failures of an endpoint that others survived
  alone,    // … at three: tried while nothing else of the job is out
  behind,   // after an endpoint's fault, while no call that began since was answered: fresh items
            // go first
};
inline constexpr std::size_t lane_count = 4;
inline constexpr std::uint8_t suspicions_portion = 2, suspicions_alone = 3;

struct OpenPart {
  PartState state = Ready{};
  intake::ItemPlace place; // of its item
  std::string id;          // likewise
  PartTally tally;
  bool has_fallback = false;   // there is another model for it, as seen when it was last offered
  std::uint32_t company = ~0u; // in a call of so many parts at most: more were refused or failed
  bool retrying = false;       // it waits for another attempt, having had one
  std::vector<EndpointId> failed_at; // of late, the latest last
  Time behind_since = never;         // it failed then, and waits as Lane says
  std::uint8_t suspicions = 0;
  std::shared_ptr<const protocol::Repair> repair = {}; // that its next attempt asks for
  AskedRequest request = {};                           // if anybody wants to know

  bool is_ready() const { return std::holds_alternative<Ready>(state); }
  bool is_prepared() const {
    return std::holds_alternative<Out>(state) && std::get<Out>(state).is_prepared;
  }
  bool follows() const { return std::holds_alternative<Following>(state); }
  bool is_unknown() const { return std::holds_alternative<Unknown>(state); }
  CallId call() const {
    return std::holds_alternative<Out>(state) ? std::get<Out>(state).call : CallId{};
  }
  // The most parts of its next call.
  std::uint32_t together() const { return suspicions >= suspicions_alone ? 1 : company; }
  Time not_before() const { return is_ready() ? std::get<Ready>(state).not_before : Time{}; }
  Lane lane() const {
    if (suspicions >= suspicions_alone) return Lane::alone;
    if (behind_since != never) return Lane::behind;
    return suspicions == suspicions_portion ? Lane::portions : Lane::open;
  }
};

// One bit for each stream of the job (words/streams.hpp).
using Streams = std::uint64_t;
inline constexpr Streams all_streams = ~Streams{0};
inline bool has_stream(Streams streams, const PartId& part) {
  return (streams >> StreamId::of(part).model & 1) != 0;
}

// Of a job's documents that have been read and have not ended, before another one is read.
inline constexpr std::size_t known_chunks_max = 4u << 20;

// What the journal knows of parts of items that are not terminal.
struct RecoveredParts {
  std::map<std::uint64_t, journal::EndedParts> ended = {};
  std::vector<journal::AttemptNote> notes = {};
};

class PartLedger {
public:
  explicit PartLedger(ItemSet terminal = {}, RecoveredParts recovered = {});

  bool is_terminal(std::uint64_t item) const { return terminal_.contains(item); }
  bool has_ended(const PartId& part) const; // its item is terminal, or waits for other parts
  std::uint64_t low() const { return terminal_.low(); }
  // Of an item that is open.
  std::optional<intake::ItemPlace> place_of(JobId job, std::uint64_t item) const;
  void set_place(JobId job, std::uint64_t item, const intake::ItemPlace& place); // of a known one
  std::size_t live_count() const { return live_.size(); }
  std::size_t joining_count() const { return joining_; } // items whose lines are being made
  std::size_t chunk_count() const { return chunks_; }    // of all items that are divided
  std::size_t waiting_count() const { return states_[0]; }
  std::size_t following_count() const { return states_[3]; }
  std::size_t out_count() const { return live_.size() - states_[0] - states_[3]; }
  // Those that a call of their own is made for, or will be.
  std::size_t called_count() const { return live_.size() - states_[3]; }
  std::size_t unknown_count() const { return states_[2]; }
  std::size_t waiting_count(Lane lane) const { return waiting_[static_cast<std::size_t>(lane)]; }
  std::size_t suspects() const { return suspects_; } // that were out at a failure others survived
  std::size_t retrying_count() const { return retrying_; } // that wait, having been tried before
  const std::unordered_map<PartId, OpenPart>& live() const { return live_; }
  const OpenPart* find(const PartId& part) const;
  const OpenPart& at(const PartId& part) const; // of one that is open
  const DividedItem* divided(std::uint64_t item) const;

  // Before its parts are added.
  DividedItem& divide(std::uint64_t item, const intake::ItemPlace& place, const std::string& id,
                      const Division& division);
  // A level of one that is divided is over and durable.
  void go_on(std::uint64_t item, std::uint32_t model);
  // To open parts of it, or to have them dropped; none: it is not divided.
  DividedItem* divided(std::uint64_t item) {
    return const_cast<DividedItem*>(std::as_const(*this).divided(item));
  }
  template <class Use> void each_divided(Use use) {
    for (auto& [item, divided] : divided_) use(item, divided);
  }
  // What an earlier life noted of a part that is to be added; told once.
  PartTally take_recovered(const PartId& part);
  void add(const PartId& part, OpenPart open);
  void set_out(const PartId& part, CallId call);
  void set_prepared(const PartId& part);
  void set_unknown(const PartId& part, CallId failed);
  void set_following(const PartId& part);
  void set_request(const PartId& part, const AskedRequest& request);
  // Makes it due at that time, in its lane.
  void wait(const PartId& part, Time not_before, CallId lost = {});
  void set_tally(const PartId& part, PartTally tally);
  void set_fallback(const PartId& part, bool there_is_one);
  void set_company(const PartId& part, std::uint32_t most); // not more than before
  void set_read(const PartId& part, const intake::ItemPlace& place, std::string id);
  // Beyond a bound of all of them the answer is left out.
  void set_repair(const PartId& part, protocol::Repair repair);
  void forget_repair(const PartId& part);
  // Another attempt shall go elsewhere, if it can.
  void failed_at(const PartId& part, EndpointId endpoint);
  // An endpoint's fault met it: it waits behind others from then on.
  void fall_behind(const PartId& part, Time since);
  // It was out at one more failure of an endpoint that others survived. One that goes alone from
  // now on goes at once, while there are others to compare it with.
  void suspect(const PartId& part, Time now);
  void clear(const PartId& part); // … but that says nothing of it any more
  // Those that go alone wait until the job has had so many answers.
  void alone_wait_for(std::uint64_t answers);
  // A call that began then was answered: those that wait behind since an earlier failure go to the
  // lanes where they belong, and at once if they waited for an endpoint to be there at all; so do
  // those that go alone.
  void end_of_outage(Time began, Time now);

  // The next part of the lane that is due, of these streams; of those that wait behind the one with
  // which an endpoint went down least often.
  std::optional<PartId> due(Lane lane, Time now, Streams streams = all_streams) const;
  Time next_due(Lane lane) const; // never when nothing waits there
  Time next_due() const;          // in any lane
  // Of the lane of portions: whether one more may go beside those that are out.
  bool portion_has_room() const;
  const std::set<PartId>& alone() const { return alone_; } // those of that lane, out or not

  // It is open no more; an item of one part is terminal with it. `size`: of its answer, as of
  // PartLine.
  void end(const PartId& part, bool failed = false, std::uint32_t size = 0);
  // Of a divided item: its line is durable.
  void end_item(std::uint64_t item);
  void invariant() const; // O(1)

private:
  struct Due {
    Time at;
    std::uint64_t order; // among those of the same time
    PartId part;
    bool operator>(const Due& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  struct Behind {
    Time since;
    PartId part;
  };
  using Queue = std::priority_queue<Due, std::vector<Due>, std::greater<>>;
  OpenPart& open(const PartId& part);
  void count(const OpenPart& part, int by);
  void set_state(OpenPart& part, PartState state);
  void set_out(const PartId& part, Out out);
  void set_suspicions(const PartId& id, OpenPart& part, std::uint8_t suspicions);
  using Queues = std::vector<Queue>; // of each stream
  Queues& queues(Lane lane) const { return due_[static_cast<std::size_t>(lane)]; }
  void push(const PartId& id, const OpenPart& part);
  void forget_stale(Lane lane, Queue& queue) const;
  Queue* next_queue(Lane lane, Time now, Streams streams) const;
  std::optional<PartId> due_behind(Time now, Streams streams) const;

  ItemSet terminal_;
  std::map<std::uint64_t, journal::EndedParts> recovered_ended_;
  std::unordered_map<PartId, journal::AttemptNote> recovered_notes_;
  std::unordered_map<PartId, OpenPart> live_;
  std::map<std::uint64_t, DividedItem> divided_;
  // May hold entries of parts that no longer wait there; they are skipped when met.
  mutable std::array<Queues, lane_count> due_;
  std::deque<Behind> behind_;                     // … likewise, in the order of their failures
  std::array<std::size_t, 4> states_{};           // how many are in each
  std::array<std::size_t, lane_count> waiting_{}; // how many wait in each
  std::size_t retrying_ = 0, suspects_ = 0, joining_ = 0, chunks_ = 0, repair_bytes_ = 0;
  // Of parts with suspicions_portion: how many there are, and were at most since there was none.
  std::size_t in_portions_ = 0, out_in_portions_ = 0, most_in_portions_ = 0;
  std::set<PartId> alone_;
};

} // namespace gristmill::supervisor
