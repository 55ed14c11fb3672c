// PACKING CHECK: compressed inputs are unpacked to their end before the first call, so that nothing
// is paid for the readable part of a download that was cut: with the whole file it would be another
// job. Invariant: nothing is kept; of very large inputs nothing is read.
#pragma once

#include "protocol/job/spec.hpp"

#include <vector>

namespace gristmill::cli {

// Errors (bad_input) name the first file that does not unpack, and why.
Result<> check_packing(const std::vector<InputSpec>& inputs);

} // namespace gristmill::cli
