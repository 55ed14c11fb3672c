// KNOWN RESULT: whether a file at some place is the result of the job that a state directory knows,
// whatever path that job was told: results are moved and copied together with their directory.
// Invariant: what is called the job's begins with a line that the job wrote.
#pragma once

#include "protocol/result.hpp"

#include <string>

namespace gristmill::cli {

// An empty file is anybody's. Of an array nothing says whose it is.
Result<bool> is_result_of(const std::string& output, const std::string& state);

} // namespace gristmill::cli
