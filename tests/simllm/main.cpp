// gristmill-simllm: a simulated OpenAI-compatible server.
//
// It prints one JSON line when it is ready and serves until SIGTERM or SIGINT; then the call log is
// complete on disk and the exit code is 0.

#include "options.hpp"
#include "server.hpp"

#include <csignal>
#include <cstdio>
#include <exception>

namespace {

using namespace gristmill::simllm;

void serve(const Options& options) {
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  // Blocked before any thread starts, so that only the sigwait below takes them.
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  raise_descriptor_limit();
  Server server(options);
  server.start();
  std::printf("{\"event\":\"ready\",\"url\":\"%s\"}\n", server.url().c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&stop_signals, &signal);
  server.stop();
}

} // namespace

int main(int argc, char** argv) {
  try {
    const auto parsed = parse_options(argc, argv);
    if (!parsed.options) return parsed.exit_code;
    serve(*parsed.options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gristmill-simllm: %s\n", error.what());
    return 1;
  }
}
