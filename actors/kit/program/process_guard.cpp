#include "actors/kit/program/process_guard.hpp"

#include <csignal>
#include <fcntl.h>
#include <initializer_list>
#include <unistd.h>

namespace gristmill {

void guard_writes() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  // The wrong way round, so that using them fails as it would with a closed one.
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(number, F_GETFD) < 0 &&
        ::open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY) != number)
      return;
}

} // namespace gristmill
