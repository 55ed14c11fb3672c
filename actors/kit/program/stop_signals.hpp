// STOP SIGNALS: how a daemon is told to end. The first SIGINT or SIGTERM is taken in the main
// thread, in peace; the second ends the process at once, wherever it is.
// Invariant: made before any thread is started, so that no thread but the main one is interrupted.
#pragma once

#include <csignal>

namespace gristmill {

class StopSignals {
public:
  StopSignals(); // from now on the signals wait to be taken
  // Waits for a signal and returns it, or 0 when it was woken.
  int wait();
  void wake(); // any thread
  // From now on a signal exits with 130 or 143.
  void leave_at_once();

private:
  sigset_t stops_{}, waits_{};
};

} // namespace gristmill
