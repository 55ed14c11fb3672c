// What every program does first, so that a write that fails is an error that somebody sees.
#pragma once

namespace gristmill {

// Before any file is opened. A write that nobody reads any more, or beyond the limit on the size of
// files, fails instead of ending the process; and no file of ours gets the number of a standard
// descriptor that was closed, where what is printed would go into it.
void guard_writes();

} // namespace gristmill
