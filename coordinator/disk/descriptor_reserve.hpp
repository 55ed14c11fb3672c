// DESCRIPTOR RESERVE: the part of the process's limit of open files that connections cannot take.
// The soft limit, which the kernel asks at each accept, stands below the hard one by
// limits::descriptors_kept; a file that has to be opened raises it for that moment.
// Invariant: whoever can connect can keep others from connecting, but not the journal from writing.
#pragma once

#include "protocol/result.hpp"

#include <sys/types.h>

namespace gristmill::coordinator {

// Raises the soft limit to the hard one but for the reserve. usage: the hard one is below
// limits::descriptors_min and the reserve.
Result<> keep_descriptor_reserve();

// As ::open, from the reserve when nothing else is left.
int open_from_reserve(const char* path, int flags, mode_t mode);

} // namespace gristmill::coordinator
