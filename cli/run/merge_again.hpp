// MERGE AGAIN: the result of a finished job that somebody has moved away is written anew from the
// segments, which hold every line. Invariant: the same bytes as before, and not one call.
#pragma once

#include "coordinator/host.hpp"

namespace gristmill::cli {

// Before the host is started. The job is over and has a file for its result, which is `output` now,
// wherever it was before: by this time something else may stand there.
Result<> merge_again(coordinator::CoordinatorHost& host, const journal::RecoveredJob& job,
                     const std::string& output);

} // namespace gristmill::cli
