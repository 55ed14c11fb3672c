// What a command's exit code means; fixed for scripts.
#pragma once

#include "protocol/job/state.hpp"
#include "protocol/result.hpp"

namespace gristmill::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_usage = 2;       // usage or configuration: nothing started
inline constexpr int exit_some_failed = 3; // finished; the failed items are in the result
inline constexpr int exit_stopped = 4;     // failures, budget, quota, disk: resumable
inline constexpr int exit_bad_input = 5;   // under --strict
inline constexpr int exit_internal = 70;
inline constexpr int exit_interrupted = 130;
inline constexpr int exit_terminated = 143;

// Of a command that waited for the job's end.
inline int exit_code_of(JobState state, JobReason reason, const JobCounts& counts) {
  if (reason == JobReason::bad_input) return exit_bad_input;
  if (state == JobState::failed || state == JobState::paused) return exit_stopped;
  return counts.failed > 0 || state == JobState::cancelled ? exit_some_failed : exit_ok;
}

// Of a command whose coordinator or disk failed it: what was not waited out goes on without us.
inline int exit_code_of_failure(const Error& error) {
  return error.code == ErrorCode::unavailable || error.code == ErrorCode::disk_full ||
                 error.code == ErrorCode::io
             ? exit_stopped
             : exit_usage;
}

} // namespace gristmill::cli
