// PRIVATE MEMORY: what a program holds, keys and prompts, is not for others to read: no core file,
// no debugger, no look at its memory and environment by other processes of the same user. Root may
// still trace it, and so may whoever started it under a tracer.
#pragma once

namespace gristmill {

// Before a key is read. GRISTMILL_ALLOW_DUMPS=1 leaves the process as it is, to be debugged.
void keep_memory_private();

} // namespace gristmill
