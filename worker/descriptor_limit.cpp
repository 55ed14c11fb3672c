#include "worker/descriptor_limit.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/resource.h>

namespace gristmill::worker {

Result<> check_descriptor_limit(std::uint64_t calls) {
  constexpr std::uint64_t base = 64, per_call = 2;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return fail(ErrorCode::io,
                fmt::format("Cannot read the limit of open files: {}.", std::strerror(errno)));
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  const std::uint64_t needed = base + per_call * calls;
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= needed) return {};
  const std::uint64_t fitting =
      limit.rlim_cur > base ? (std::uint64_t{limit.rlim_cur} - base) / per_call : 0;
  return fail(ErrorCode::usage,
              fmt::format("{} calls at a time need {} open files, and the hard limit of this "
                          "process is {}. Raise it (ulimit -Hn {}, or LimitNOFILE={} of the "
                          "service){}.",
                          calls, needed, std::uint64_t{limit.rlim_cur}, needed, needed,
                          fitting == 0 ? "" : fmt::format(", or use --concurrency {}", fitting)));
}

} // namespace gristmill::worker
