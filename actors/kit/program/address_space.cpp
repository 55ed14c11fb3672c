#include "actors/kit/program/address_space.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

namespace gristmill {

Result<> check_address_space() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur >= address_space_min)
    return {};
  return fail(
      ErrorCode::internal,
      fmt::format("expected at least {} MB of address space for this process, got {}: raise "
                  "it (ulimit -v, or LimitAS= of the service)",
                  address_space_min >> 20, std::uint64_t{limit.rlim_cur} >> 20));
}

} // namespace gristmill
