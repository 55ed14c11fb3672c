// GIVEN CALLS: those that one worker was given. A call is held without a permit or in flight with
// one; one that is given up stays listed, because its worker may still say how it ended.
// Invariant: held, held_bytes and in_flight count what is listed, and so do all sessions' shares of
// an InFlight together.
#pragma once

#include "actors/coordinator/assigned.hpp"
#include "actors/coordinator/sessions/in_flight.hpp"

#include <map>
#include <unordered_map>
#include <vector>

namespace gristmill::coordinator {

class GivenCalls {
public:
  explicit GivenCalls(InFlight* all = nullptr) : all_{all} {} // `all` outlives it
  ~GivenCalls();
  GivenCalls(const GivenCalls&) = delete;
  GivenCalls& operator=(const GivenCalls&) = delete;

  auto begin() const { return calls_.begin(); }
  auto end() const { return calls_.end(); }
  std::size_t size() const { return calls_.size(); }
  const Assigned* find(CallId call) const;
  std::uint32_t held() const { return held_; }
  std::uint32_t held_of(JobId job) const;
  std::uint32_t held_of(const StreamId& stream) const;
  std::size_t held_bytes_of(const StreamId& stream) const;
  std::size_t held_bytes() const { return held_bytes_; }
  std::size_t parts() const { return parts_; } // of all that are listed
  std::uint32_t in_flight() const { return in_flight_; }
  std::uint32_t overdue() const { return overdue_; } // of those in flight: given up
  // In the order of their ids.
  std::vector<CallId> list_held() const;
  std::vector<CallId> list_of(JobId job) const;

  void give(CallId call, Assigned assigned);
  Assigned take(CallId call);
  void permit(CallId call, AttemptId attempt, EndpointId endpoint, const PermitNote& note = {});
  void unpermit(CallId call);
  // Its worker must say how the call ended within `most` from now: the job's timeouts do not end
  // here, but a worker that outlives them by so much will not keep them.
  void expect_end(CallId call, Duration most, Time now);
  void postpone_ends(Time earliest);
  void ended(CallId call); // its worker keeps the outcome
  void withdraw(CallId call);
  void give_up(CallId call);
  // Calls whose time is over, as they were before they were given up, in the order of their ids.
  std::vector<Released> give_up_overdue(Time now);

  bool counts_fit() const; // as far as the counts show it alone; checked after each change
  bool invariant() const;  // looks at each call

private:
  struct Held {
    std::uint32_t calls = 0;
    std::size_t bytes = 0;
    bool operator==(const Held&) const = default;
  };
  void count(const Assigned& assigned, int by);
  void check_counts() const;

  InFlight* all_;
  std::unordered_map<CallId, Assigned> calls_;
  std::uint32_t held_ = 0, in_flight_ = 0, overdue_ = 0;
  std::size_t held_bytes_ = 0, parts_ = 0;
  std::map<StreamId, Held> held_by_stream_; // none of no calls
  Time earliest_deadline_ = never;          // no call's is earlier
};

} // namespace gristmill::coordinator
