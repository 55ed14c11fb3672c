// KEPT JOB: a job without rooms, as the journal holds it, and what it takes to run it again: its
// failed items, its money, its specification. Invariant: what is done stays done; only failed items
// of the classes asked for are opened again.
#pragma once

#include "actors/jobs/job_entry.hpp"
#include "actors/jobs/questions.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/recovered_job.hpp"
#include "protocol/job/pools.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace gristmill::jobs {

struct KeptJob {
  journal::RecoveredJob content = {};
  JobMoney money = {};          // as it stands when the job is opened next
  bool may_have_called = false; // a worker's session was open when our last life ended …
  std::uint64_t calls_at_once = ~std::uint64_t{0}; // … and it could have so many calls in flight
};

// The job as a life of ours finds it; one whose specification cannot be read has failed.
JobEntry entry_of(const journal::RecoveredJob& job);

struct RunAgain {
  KeptJob kept;
  std::vector<journal::Reopened> reopened; // items that failed
  ErrorList errors;                        // that the job has met, as far as they still count
};
// What the job begins with; an error says that there is nothing to go on with.
Result<RunAgain> run_again(const JobEntry& job, KeptJob kept, const ReopenJob& wanted);

// The specification that the job is to go on with, the wanted budget in it; nothing = as it is. An
// error says why it cannot have that budget.
Result<std::optional<JobSpec>> spec_to_run(const JobEntry& job, const ReopenJob& wanted,
                                           const std::vector<PoolSpec>& pools);

} // namespace gristmill::jobs
