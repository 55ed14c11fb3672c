// FAIR QUEUE over jobs: whose call goes next. Each job has a queue of ready calls, bounded by what
// it was asked for; the job that has been served least goes first. A job that was idle starts at
// the level of the others, so it can neither starve them nor be starved. (Start-time fair queueing,
// Goyal, Vin, Cheng, 1996, with one unit per call.)
// Invariant: calls of one job leave in the order in which they came.
#pragma once

#include "actors/kit/call_words.hpp"

#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

namespace gristmill::coordinator {

class FairQueue {
public:
  void open(JobId job) { jobs_.try_emplace(job); }
  // Its calls that have not left.
  std::deque<OfferedCall> close(JobId job);
  void push(JobId job, OfferedCall call);
  void remove(JobId job, CallId call); // rare: walks the job's queue
  std::optional<OfferedCall> pop();
  const OfferedCall* front() const; // what pop() would give

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t size(JobId job) const;
  std::size_t bytes(JobId job) const;

private:
  struct Queue {
    std::deque<OfferedCall> calls;
    std::size_t bytes = 0;
    std::uint64_t served = 0; // virtual time
  };
  std::map<JobId, Queue>::const_iterator next() const;

  std::map<JobId, Queue> jobs_;
  std::size_t size_ = 0;
  std::uint64_t level_ = 0; // virtual time of the last call that left
};

} // namespace gristmill::coordinator
