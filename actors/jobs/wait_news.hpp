// WAIT NEWS: what the log is told of why jobs wait: each change of reason once, and a warning when
// a job has waited long for its endpoints. Invariant: a reason is news only when it was met at two
// ticks in a row, because many come and go within one.
#pragma once

#include "actors/jobs/explanation.hpp"
#include "actors/jobs/job_entry.hpp"
#include "actors/kit/event.hpp"
#include "actors/kit/moment.hpp"
#include "actors/words/wait_reason.hpp"

#include <map>
#include <vector>

namespace gristmill::jobs {

class WaitNews {
public:
  // What is to be told of a job that is open; `none` is a reason, too. At each tick.
  std::vector<Event> told(const JobEntry& job, const WaitReason& reason,
                          const MetError& at_endpoint, const Moment& moment);
  // True: this reason is news. `none` is news after a reason that was said.
  bool met(JobId job, const WaitReason& reason);
  void forget(JobId job) { jobs_.erase(job); }
  std::size_t size() const { return jobs_.size(); }

private:
  // For so long a job may wait for its endpoints until somebody should look after them.
  static constexpr std::chrono::seconds alarm_after = std::chrono::minutes{15};

  struct Said {
    WaitReason last, said;
    std::int64_t alarmed = 0; // of the wait that has begun then
  };
  std::map<JobId, Said> jobs_;
};

} // namespace gristmill::jobs
