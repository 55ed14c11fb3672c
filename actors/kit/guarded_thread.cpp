#include "actors/kit/guarded_thread.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace gristmill {

// Without memory of its own: there may be none.
void end_by_internal_error(std::string_view where, std::string_view what) noexcept {
  std::array<char, 1024> line{};
  const int bytes = std::snprintf(line.data(), line.size(),
                                  "%s: internal error in the thread of the %.*s: %.*s\n",
                                  program_invocation_short_name, static_cast<int>(where.size()),
                                  where.data(), static_cast<int>(what.size()), what.data());
  if (bytes > 0)
    (void)!::write(STDERR_FILENO, line.data(),
                   std::min(static_cast<std::size_t>(bytes), line.size() - 1));
  std::_Exit(exit_internal_error);
}

} // namespace gristmill
