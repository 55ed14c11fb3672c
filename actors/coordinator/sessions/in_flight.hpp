// IN FLIGHT: how many permitted calls each job has in all sessions, so that listing jobs does not
// walk every worker's calls. Invariant: no job is listed with none.
#pragma once

#include "protocol/ids.hpp"

#include <cstdint>
#include <map>

namespace gristmill::coordinator {

class InFlight {
public:
  std::uint32_t of(JobId job) const {
    const auto it = jobs_.find(job);
    return it == jobs_.end() ? 0 : it->second;
  }
  void count(JobId job, int by) {
    const auto of_job = jobs_.try_emplace(job).first;
    of_job->second += static_cast<std::uint32_t>(by);
    if (of_job->second == 0) jobs_.erase(of_job);
  }
  bool operator==(const InFlight&) const = default;

private:
  std::map<JobId, std::uint32_t> jobs_;
};

} // namespace gristmill::coordinator
