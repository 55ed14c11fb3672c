// QUOTA WATCH: when a job should pause because every endpoint that it has used says that its
// account is used up. Invariant: while one endpoint answers, the job goes on.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/job/state.hpp"

#include <fmt/format.h>
#include <optional>
#include <set>
#include <string>

namespace gristmill::supervisor {

class QuotaWatch {
public:
  void answered(EndpointId endpoint) {
    answering_.insert(endpoint);
    used_up_.erase(endpoint);
  }
  // `alternatives`: how many endpoints serve such calls, this one too.
  std::optional<StateChange> used_up(EndpointId endpoint, const std::string& url,
                                     const std::string& sample, std::size_t alternatives) {
    answering_.erase(endpoint);
    used_up_.insert(endpoint);
    if (!answering_.empty() || used_up_.size() < alternatives) return std::nullopt;
    return StateChange{
        JobState::paused, JobReason::quota,
        fmt::format("the quota or credit of {} is used up: {}",
                    used_up_.size() == 1 ? url : fmt::format("every endpoint, {} too,", url),
                    sample)};
  }
  void resumed() {
    answering_.clear();
    used_up_.clear();
  }

private:
  std::set<EndpointId> answering_, used_up_; // by their last word
};

} // namespace gristmill::supervisor
