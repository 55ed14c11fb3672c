// Whether this process may open as many descriptors as its calls will need, asked once at start
// instead of being found out in the middle of a job.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>

namespace gristmill::worker {

// Raises the soft limit of open files to the hard one. An error when 64 + 2 per call do not fit.
Result<> check_descriptor_limit(std::uint64_t calls);

} // namespace gristmill::worker
