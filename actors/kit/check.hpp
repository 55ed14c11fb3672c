// The one check for programmer errors, on in every build. A failed check throws: the shell of the
// room catches it, a job's room parks its job, a shared room ends the process (the journal brings
// it back).
#pragma once

#include <fmt/format.h>
#include <stdexcept>

namespace gristmill {

struct CheckFailed : std::logic_error {
  using std::logic_error::logic_error;
};

} // namespace gristmill

#define GRISTMILL_CHECK(condition, ...)                                                            \
  do {                                                                                             \
    if (!(condition)) [[unlikely]]                                                                 \
      throw ::gristmill::CheckFailed{fmt::format("{}:{}: check failed: {}: {}", __FILE__,          \
                                                 __LINE__, #condition, fmt::format(__VA_ARGS__))}; \
  } while (false)
