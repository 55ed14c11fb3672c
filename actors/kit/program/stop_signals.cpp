#include "actors/kit/program/stop_signals.hpp"

#include <initializer_list>
#include <unistd.h>

namespace gristmill {
namespace {

constexpr int wake_signal = SIGUSR1;

extern "C" void exit_at_once(int signal) {
  ::_exit(128 + signal);
}

} // namespace

StopSignals::StopSignals() {
  sigemptyset(&stops_);
  sigaddset(&stops_, SIGINT);
  sigaddset(&stops_, SIGTERM);
  waits_ = stops_;
  sigaddset(&waits_, wake_signal);
  pthread_sigmask(SIG_BLOCK, &waits_, nullptr);
}

int StopSignals::wait() {
  const int signal = ::sigwaitinfo(&waits_, nullptr);
  return signal == SIGINT || signal == SIGTERM ? signal : 0;
}

void StopSignals::wake() {
  ::kill(::getpid(), wake_signal);
}

void StopSignals::leave_at_once() {
  struct sigaction action {};
  action.sa_handler = exit_at_once;
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &stops_, nullptr);
}

} // namespace gristmill
