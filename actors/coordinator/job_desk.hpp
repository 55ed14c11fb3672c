// JOB DESK: the jobs of a coordinator, what state each is in, and which changes of state must be
// journalled. A job's change is told to nobody before it is durable.
// Invariant: a job that is over never changes again.
#pragma once

#include "actors/kit/records.hpp"
#include "protocol/job_spec.hpp"
#include "protocol/result.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::coordinator {

struct JobEntry {
  JobId id;
  JobSpec spec;
  std::string directory; // of its segments, below the state directory
  JobState state = JobState::running;
  std::string detail;    // why it is in this state; a sentence or empty
  JobCounts counts;
  std::int64_t created_at = 0, ended_at = 0; // unix seconds
  bool open = false;     // its rooms exist
};

class JobDesk {
public:
  // `flat`: one job whose segments stand in the state directory itself (`gristmill run`).
  explicit JobDesk(bool flat) : flat_{flat} {}

  void recovered(JobEntry entry);
  // A new job; an error lists every fault of the specification.
  Result<journal::JobChange> submit(JobSpec spec, std::int64_t unix_now);
  // Moves the job to another state; nothing if it is over or in that state already.
  std::optional<journal::JobChange> change(JobId id, JobState state, std::string detail,
                                           std::int64_t unix_now);

  JobEntry* find(JobId id);
  std::map<JobId, JobEntry>& jobs() { return jobs_; }

private:
  bool flat_;
  std::map<JobId, JobEntry> jobs_;
  std::uint32_t last_ = 0;
};

} // namespace gristmill::coordinator
