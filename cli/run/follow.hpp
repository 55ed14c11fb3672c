// FOLLOW: `gristmill run` from the job's beginning to its end, or to the user's: progress, Ctrl-C,
// a reader that has gone away, the last words. Invariant: calls in flight are waited for unless the
// user says so twice.
#pragma once

#include "cli/run/local_cluster.hpp"
#include "cli/run/run_options.hpp"
#include "cli/run/streamed_output.hpp"

#include <chrono>
#include <csignal>
#include <string>

namespace gristmill::cli {

class Interruption {
public:
  Interruption(); // before any thread: all inherit the blocked signals
  // Waits for a signal; 0 when none came.
  int wait(std::chrono::milliseconds at_most);
  int came() { return wait(std::chrono::milliseconds{0}); }

private:
  sigset_t signals_{};
};

// Waits for the job's end, or for the user's; the exit code.
int follow(LocalCluster& cluster, JobId job, Interruption& interruption, const RunOptions& options,
           const std::string& output, StreamedOutput& stream);

} // namespace gristmill::cli
