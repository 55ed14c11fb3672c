#include "coordinator/disk/descriptor_reserve.hpp"

#include "protocol/limits.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <sys/resource.h>

namespace gristmill::coordinator {

Result<> keep_descriptor_reserve() {
  constexpr std::uint64_t needed = limits::descriptors_min + limits::descriptors_kept;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return fail(ErrorCode::io,
                fmt::format("reading the limit of open files: {}", std::strerror(errno)));
  if (limit.rlim_max < needed)
    return fail(ErrorCode::usage,
                fmt::format("expected a limit of at least {} open files and one for each worker, "
                            "client and running job, got {}: raise it (ulimit -Hn, or LimitNOFILE= "
                            "of the service)",
                            needed, std::uint64_t{limit.rlim_max}));
  limit.rlim_cur = limit.rlim_max - limits::descriptors_kept;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return fail(ErrorCode::io,
                fmt::format("raising the limit of open files: {}", std::strerror(errno)));
  return {};
}

int open_from_reserve(const char* path, int flags, mode_t mode) {
  int file = ::open(path, flags, mode);
  if (file >= 0 || errno != EMFILE) return file;
  static std::mutex one_at_a_time;
  const std::lock_guard guard{one_at_a_time};
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  const rlimit with_reserve{limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &with_reserve) != 0) return -1;
  file = ::open(path, flags, mode);
  const int why = errno;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  errno = why;
  return file;
}

} // namespace gristmill::coordinator
