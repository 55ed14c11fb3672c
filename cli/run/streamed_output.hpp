// STREAMED OUTPUT: `gristmill run -o -`. The lines go to standard output while the job runs; the
// state is where --state says, else in a temporary directory that goes with the command, which then
// cannot be resumed. For any other output it does nothing.
// Invariant: a reader that goes away ends the command in peace, with a sentence.
#pragma once

#include "cli/run/line_printer.hpp"
#include "cli/run/local_cluster.hpp"
#include "cli/run/temporary_directory.hpp"

#include <functional>
#include <optional>
#include <string>

namespace gristmill::cli {

class StreamedOutput {
public:
  // Where the state of a job with this output is, as the user named it or not.
  Result<std::string> state_of(const std::string& output, const std::string& state);
  // Once the state is ours.
  Result<> open(const std::string& state);

  bool is_temporary() const { return temporary_.exists(); }
  // What a sentence about an end ends with.
  const char* afterwards() const;
  void leave_at_once() { temporary_.remove(); }

  using Printed = LinePrinter::Printed;
  // What became durable since the last time.
  Result<Printed> print(LocalCluster& cluster, JobId job);
  // The rest, when nothing comes after it; `interrupted` says the signal that came meanwhile, or 0.
  // `came` is one that came before: then no longer than the reader takes something. The exit code
  // is the one given, unless lines are left, which is said.
  int finish(LocalCluster& cluster, JobId job, const std::function<int()>& interrupted,
             int exit_code, int came = 0);
  // What is said when nobody reads any more.
  std::string closed() const;

private:
  bool streams_ = false;
  TemporaryDirectory temporary_;
  std::optional<LinePrinter> printer_;
};

} // namespace gristmill::cli
