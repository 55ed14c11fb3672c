// HELD CALLS: the calls that a worker has without a permit, and what it asked for them. A call is
// ready to be asked for, asked for in a Need, waiting until the coordinator's "not before", or
// permitted and without a slot; before that its texts may have to be read. Invariant: each held
// call is in exactly one of these states.
#pragma once

#include "actors/kit/sizes.hpp"
#include "actors/kit/time.hpp"
#include "protocol/node/messages.hpp"

#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace gristmill::worker {

class HeldCalls {
public:
  std::size_t size() const { return calls_.size(); }
  std::size_t bytes() const { return bytes_; }
  std::size_t asked() const { return asked_count_; }
  bool contains(CallId call) const { return calls_.contains(call); }
  bool lacks_permit(CallId call) const {
    const auto it = calls_.find(call);
    return it != calls_.end() && it->second.state != State::permitted;
  }
  std::vector<CallId> all() const; // in the order of their ids
  bool has_of(JobId job) const { return of_job_.contains(job); }

  void add(protocol::PlannedCall call);
  // One whose texts are still being read is not asked for before it has them all.
  void add_without_texts(protocol::PlannedCall call);
  void drop_reading();
  void has_texts(CallId call, std::vector<std::string> texts); // of its parts without one
  std::optional<protocol::PlannedCall> take(CallId call);

  // Up to `most` ready calls, and behind them up to `ahead` that could not start yet, now asked for
  // under `nonce`.
  std::vector<CallId> ask(std::size_t most, Nonce nonce, Time now, std::size_t ahead = 0);
  // When the Need was sent; nothing if it was given up.
  std::optional<Time> sent_at(Nonce nonce) const;
  // What was asked for ahead does not wait: it may be asked for as soon as it could start.
  void wait(Nonce nonce, const std::vector<CallId>& calls, Time until);
  void permitted(CallId call);   // but it stays in hand
  void ready_again(CallId call); // its permit came back
  void wake(std::size_t most);   // waiting calls, the next ones due
  // Moves what is due from waiting to ready, and gives up Needs older than `repeat`.
  void advance(Time now, Duration repeat);
  void forget_needs(); // the connection is gone: nothing will be answered
  Time next_due(Duration repeat) const;
  void measure(Sizes& sizes) const {
    sizes["worker.held"] += calls_.size();
    sizes["worker.ready"] += ready_.size();
    sizes["worker.needs"] += needs_.size();
    sizes["worker.waiting"] += waiting_.size();
  }

private:
  enum class State : std::uint8_t { reading, ready, asked, waiting, permitted };
  struct Held {
    protocol::PlannedCall planned;
    State state = State::ready;
    Nonce nonce;
    bool ahead = false; // asked for before it could start
  };
  struct NeedSent {
    Time at{};
    std::unordered_set<CallId> calls;
  };
  struct Due {
    Time at;
    CallId call;
    bool operator>(const Due& other) const {
      return at != other.at ? at > other.at : call > other.call;
    }
  };
  bool hold(protocol::PlannedCall call, State state); // false: it was here already
  void answered(Held& held, CallId call);
  void make_ready(CallId call, Held& held);

  std::unordered_map<CallId, Held> calls_;
  std::deque<CallId> ready_; // may list calls that have left; they are skipped
  std::unordered_map<Nonce, NeedSent> needs_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> waiting_;
  std::map<JobId, std::size_t> of_job_; // calls
  std::size_t asked_count_ = 0;
  std::size_t bytes_ = 0;
};

} // namespace gristmill::worker
