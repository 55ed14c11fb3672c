// KNOWN JOBS: the jobs that one worker was told of, each before its first call. A worker's memory
// for them is bounded, so it may forget those that it holds no call of; they are told again when
// there is one. Invariant: every job that it knows now is among those that it was ever told of.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <functional>
#include <list>
#include <set>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

class KnownJobs {
public:
  // True: it does not know the job yet. `bytes`: that it takes of its memory.
  bool open(JobId job, std::size_t bytes) {
    const auto known = std::find_if(opened_.begin(), opened_.end(),
                                    [job](const auto& entry) { return entry.first == job; });
    if (known != opened_.end()) {
      opened_.splice(opened_.end(), opened_, known);
      return false;
    }
    opened_.emplace_back(job, std::max(bytes, limits::kept_spec_bytes_least));
    met_.insert(job);
    return true;
  }
  // True: it knew it.
  bool close(JobId job) {
    return std::erase_if(opened_, [job](const auto& entry) { return entry.first == job; }) != 0;
  }
  // Those that it need not know any longer, because it knows many others and is not `busy` with
  // them.
  std::vector<JobId> close_idle(const std::function<bool(JobId)>& busy) {
    std::size_t bytes = 0;
    for (const auto& [job, size] : opened_) bytes += size;
    std::vector<JobId> closed;
    std::erase_if(opened_, [&](const auto& entry) {
      if (bytes <= limits::kept_specs_bytes_max || busy(entry.first)) return false;
      bytes -= entry.second;
      closed.push_back(entry.first);
      return true;
    });
    return closed;
  }

  // It may keep something of the job: it was told of it, or listed a call of it in its Hello.
  void met(JobId job) { met_.insert(job); }
  bool has_met(JobId job) const { return met_.contains(job); }
  // For good; true: it knew it.
  bool forget(JobId job) {
    met_.erase(job);
    return close(job);
  }
  std::size_t size() const { return opened_.size() + met_.size(); }

private:
  std::list<std::pair<JobId, std::size_t>> opened_; // the one used last behind
  std::set<JobId> met_;
};

} // namespace gristmill::coordinator
