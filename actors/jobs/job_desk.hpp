// JOB DESK: the jobs of a coordinator, what state each is in, and which changes of state must be
// journalled. A job's change is told to nobody before it is durable.
// Invariant: a job that is over changes only when somebody reopens it.
#pragma once

#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/counted_error.hpp"
#include "protocol/job/spec.hpp"
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
  JobReason reason = JobReason::none;
  std::string detail; // why it is in this state; a sentence or empty
  JobCounts counts;
  std::int64_t created_at = 0, ended_at = 0; // unix seconds
  // Running, and nothing is answered since then (unix seconds) but what its endpoints say; 0 = no.
  std::int64_t waits_since = 0;
  bool alarmed = false;        // … and for so long that it was told aloud
  bool open = false;           // its rooms exist
  std::uint64_t next_call = 0; // above all that it has offered in this life of ours
  std::uint32_t crashes = 0;   // in a row, of coordinators while it ran and nothing was recorded
  std::uint32_t probation_ends = 0; // … of them the last ones that found the same item out
  // Set: one call at a time, until more attempts than so many have been recorded.
  std::optional<std::uint64_t> careful_beyond = {};
  WaitReason waiting = {};  // why its supervisor offers no call
  double items_left = 0;    // … and how much it has still to do, about
  SharedErrors errors = {}; // that its calls have met; nullptr = none
  // Its result is being written, of what there is: somebody cancelled it.
  bool merges_cancelled() const { return state == JobState::merging && reason == JobReason::user; }
};

class JobDesk {
public:
  // `flat`: one job whose segments stand in the state directory itself (`gristmill run`).
  explicit JobDesk(bool flat) : flat_{flat} {}

  void recovered(JobEntry entry);
  void forget(JobId job);
  // A new job; an error lists every fault of the specification.
  Result<journal::JobChange> submit(JobSpec spec, std::int64_t unix_now);
  // Moves the job to another state; nothing if it is over or in that state already, unless only now
  // a user asks for it.
  std::optional<journal::JobChange> change(JobId id, StateChange to, std::int64_t unix_now);
  // A job that runs waits for its endpoints since then, or no longer (0).
  journal::JobChange waits(JobEntry& job, std::int64_t since, std::string sentence);
  // Makes a job run again that is paused or over; `spec`: in place of the one that it has.
  journal::JobChange reopen(JobEntry& job, std::optional<JobSpec> spec, std::int64_t unix_now);

  JobEntry* find(JobId id);
  const JobEntry* find(JobId id) const;
  std::map<JobId, JobEntry>& jobs() { return jobs_; }
  std::size_t size() const { return jobs_.size(); }

private:
  bool flat_;
  std::map<JobId, JobEntry> jobs_;
  std::uint32_t last_ = 0;
};

} // namespace gristmill::coordinator
