// MARK BOOK: how far into the items of its jobs calls may go. The journal holds a mark ahead of
// each job's calls: after a crash, items at or above it are known never to have been called, and
// those below wait for whoever may be calling them. Invariant: no item at or above its job's
// durable mark is called.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/records.hpp"

#include <map>
#include <optional>
#include <set>
#include <vector>

namespace gristmill::rate_limiter {

class MarkBook {
public:
  // Whether the item may be called; remembers that somebody wanted to.
  bool covers(JobId job, std::uint64_t item);
  // Marks that are to rise now; `number` becomes their name. `commit_time`: how long it takes of
  // late until they are durable.
  std::vector<journal::MarkNote> reserve(std::uint64_t number, Time now, Duration commit_time);
  void durable(std::uint64_t number);
  void forget(JobId job);
  // Since when the job's next mark is on its way to the disk; nothing: none is.
  std::optional<Time> writing_since(JobId job) const;

private:
  struct Job {
    std::uint64_t durable = 0, highest = 0; // item + 1
    std::uint64_t ahead = 0;                // of the highest item, when it was last raised
    std::uint64_t next = 0;                 // on its way to the disk; 0 = nothing is
    Time raised_at{};
    bool stalled = false; // somebody had to wait for it
  };
  std::map<JobId, Job> jobs_;
  std::set<JobId> low_; // that have used half of what was ahead
  std::map<std::uint64_t, std::vector<journal::MarkNote>> writing_; // by number
};

} // namespace gristmill::rate_limiter
