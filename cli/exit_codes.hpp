// What a command's exit code means; fixed for scripts.
#pragma once

namespace gristmill::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_usage = 2;       // usage or configuration: nothing started
inline constexpr int exit_some_failed = 3; // finished; the failed items are in the result
inline constexpr int exit_stopped = 4;     // failures, budget, quota, disk: resumable
inline constexpr int exit_bad_input = 5;   // under --strict
inline constexpr int exit_internal = 70;
inline constexpr int exit_interrupted = 130;
inline constexpr int exit_terminated = 143;

} // namespace gristmill::cli
