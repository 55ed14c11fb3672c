#include "actors/kit/program/private_memory.hpp"

#include <cstdlib>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace gristmill {

void keep_memory_private() {
  const char* allowed = std::getenv("GRISTMILL_ALLOW_DUMPS");
  if (allowed != nullptr && std::string_view{allowed} == "1") return;
  // The first alone also keeps out core handlers, which get what they want through a pipe; the
  // second holds for what this process may start.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

} // namespace gristmill
