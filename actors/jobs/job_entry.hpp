// JOB ENTRY: what the coordinator knows of one job, whatever its rooms are doing. Plain data.
// Invariant: programs decide by `state` and `reason`; `detail` is read by people only.
#pragma once

#include "actors/jobs/appends.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/counted_error.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/state.hpp"

#include <optional>
#include <string>

namespace gristmill::jobs {

struct JobEntry {
  JobId id;
  JobSpec spec;
  std::string directory; // of its segments, below the state directory
  JobState state = JobState::running;
  JobReason reason = JobReason::none;
  std::string detail; // why it is in this state; a sentence or empty
  JobCounts counts;
  std::int64_t created_at = 0, ended_at = 0; // unix seconds
  std::optional<JobState> ends_from = {}; // it is over, and that is not durable: what it was before
  // Running, and nothing is answered since then (unix seconds) but what its endpoints say; 0 = no.
  std::int64_t waits_since = 0;
  bool open = false;           // its rooms exist
  std::uint64_t next_call = 0; // above all that it has offered in this life of ours
  WaitReason waiting = {};     // why its supervisor offers no call
  double items_left = 0;       // … and how much it has still to do, about
  SharedErrors errors = {};    // that its calls have met; nullptr = none
  Appends appends = {};        // of a job whose specification is open
  // Its result is being written, of what there is: somebody cancelled it.
  bool merges_cancelled() const { return state == JobState::merging && reason == JobReason::user; }
  // It is over, and each of its items has its line.
  bool is_complete() const { return state == JobState::finished || state == JobState::cancelled; }
};

} // namespace gristmill::jobs
