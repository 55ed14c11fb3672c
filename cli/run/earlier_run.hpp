// EARLIER RUN: what a run that used the same output has left beside it, and how the command goes on
// with it. Invariant: a job whose identity differs from the earlier one's is never mixed with it.
#pragma once

#include "actors/journal/journal_store.hpp"
#include "actors/wiring/questions.hpp"
#include "cli/run/run_options.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gristmill::cli {

// How the command goes on with what an earlier run of it left: not at all, with a job, or by saying
// that the job is over.
struct Earlier {
  std::optional<wiring::ReopenJob> reopen;
  std::optional<int> over; // its exit code
};

// What the job in this state directory was told; nothing if there is none. It must be nobody's.
Result<std::optional<JobSpec>> recorded_spec(const std::string& state);

// `inputs`: of the command, one by one; `output`: as the user calls it. Errors: usage, when the
// command does not fit what is there.
Result<Earlier> look_back(const journal::Recovered& recovered, JobSpec spec,
                          const std::vector<InputSpec>& inputs, const RunOptions& options,
                          const std::string& output);

} // namespace gristmill::cli
