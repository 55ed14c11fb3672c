#include "cli/run/streamed_output.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/exit_codes.hpp"
#include "cli/run/run_options.hpp"
#include "protocol/job/output_form.hpp"

#include <csignal>
#include <fmt/format.h>
#include <unistd.h>

namespace gristmill::cli {
namespace {

constexpr auto look_at_signals_every = std::chrono::milliseconds{200};

} // namespace

Result<std::string> StreamedOutput::state_of(const std::string& output, const std::string& state) {
  streams_ = output_form(output) == OutputForm::stream;
  if (!streams_) return state.empty() ? output + ".state" : state;
  if (!state.empty()) return state;
  auto made = TemporaryDirectory::create();
  GRISTMILL_TRY(made);
  temporary_ = std::move(*made);
  return temporary_.path() + "/state"; // standard input is spooled beside it
}

Result<> StreamedOutput::open(const std::string& state) {
  if (!streams_) return {};
  std::signal(SIGPIPE, SIG_IGN); // the write says it
  auto printer = LinePrinter::open(state, STDOUT_FILENO);
  GRISTMILL_TRY(printer);
  printer_ = std::move(*printer);
  return {};
}

const char* StreamedOutput::afterwards() const {
  return is_temporary() ? "without --state it cannot be resumed" : "the same command resumes";
}

Result<LinePrinter::Printed> StreamedOutput::print(LocalCluster& cluster, JobId job) {
  if (!printer_) return Printed::all;
  const auto durable = cluster.coordinator().lines_of(job, journal::LineKind::results);
  GRISTMILL_TRY(durable);
  return printer_->print(**durable, look_at_signals_every);
}

int StreamedOutput::finish(LocalCluster& cluster, JobId job,
                           const std::function<int()>& interrupted, int exit_code, int came) {
  if (!printer_) return exit_code;
  for (;;) {
    const std::uint64_t before = printer_->bytes();
    const auto printed = print(cluster, job);
    if (!printed) return complain(printed.error().message, exit_stopped);
    if (*printed == Printed::closed) return complain(closed(), exit_stopped);
    if (*printed == Printed::all) break;
    const bool stuck = printer_->bytes() == before;
    const int signal = stuck && came != 0 ? came : interrupted();
    if (signal != 0)
      return complain(fmt::format("stopped after {} lines; {}", printer_->lines(), afterwards()),
                      128 + signal);
  }
  if (auto saved = printer_->save(); !saved) return complain(saved.error().message, exit_stopped);
  return exit_code;
}

std::string StreamedOutput::closed() const {
  return fmt::format("standard output was closed after {} lines; {}",
                     printer_ ? printer_->lines() : 0, afterwards());
}

} // namespace gristmill::cli
