#include "cli/cluster/results.hpp"

#include "actors/kit/program/stop_signals.hpp"
#include "actors/kit/program/terminal.hpp"
#include "cli/cluster/server_options.hpp"
#include "cli/exit_codes.hpp"
#include "coordinator/disk/file_io.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>
#include <poll.h>

namespace gristmill::cli {
namespace {

constexpr int look_every_ms = 250;

struct ResultsOptions {
  ServerOptions server;
  std::string job, output;
  bool follow = false, parts = false;
  journal::LineKind kind() const {
    return parts ? journal::LineKind::parts : journal::LineKind::results;
  }
};

// Standard output, of which it is seen when nobody reads it any more.
class Reader {
public:
  bool is_gone(int wait_ms) const {
    pollfd reader{out_.get(), 0, 0};
    return ::poll(&reader, 1, wait_ms) > 0 && (reader.revents & (POLLERR | POLLHUP)) != 0;
  }
  Result<> take(std::string_view lines) const {
    return coordinator::write_all(out_, lines, "standard output");
  }

private:
  coordinator::FileDescriptor out_{::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)};
};

// Of a job that stands still: that it does, once each time, because its user may not know.
class StandstillNews {
public:
  explicit StandstillNews(const ServerOptions& server) : server_{server} {}
  void hear(const wiring::JobView& job) {
    const bool stands = job.state == JobState::paused;
    if (stands && !said_)
      say(fmt::format("{0} is paused: {1}; `gristmill resume {0}{2}` goes on\n", to_string(job.id),
                      job.detail, server_.typed()));
    said_ = stands;
  }

private:
  const ServerOptions& server_;
  bool said_ = false;
};

int exit_code_of_end(const CLI::App& command, const wiring::JobView& job) {
  const int code = exit_code_of(job.state, job.reason, job.counts);
  if (job.state != JobState::failed) return code;
  return complain(command, fmt::format("{} failed: {}", to_string(job.id), job.detail), code);
}

// Those that there are, or all. A job that is over has all its lines; they are looked for once more
// after it was seen to be.
int print_lines(const CLI::App& command, ClusterClient& client, const ResultsOptions& options) {
  // The job does not end with the command that follows it.
  StopSignals signals;
  signals.leave_at_once();
  client.be_patient(restart_patience);
  const Reader reader;
  StandstillNews standstill{options.server};
  std::optional<wiring::JobView> end;
  for (std::string from;;) {
    auto lines = client.lines(options.job, options.kind(), from);
    if (!lines)
      return complain(command, lines.error().message, exit_code_of_failure(lines.error()));
    from = std::move(lines->next);
    if (const auto taken = reader.take(lines->text); !taken)
      return reader.is_gone(0) ? exit_ok : complain(command, taken.error().message, exit_stopped);
    if (!lines->text.empty()) continue;
    if (!options.follow) {
      if (from == "0:0")
        say(fmt::format("{} has no lines of parts: what is answered by one call has none\n",
                        options.job));
      return exit_ok;
    }
    if (end) return exit_code_of_end(command, *end);
    auto job = client.show(options.job);
    if (!job) return complain(command, job.error().message, exit_code_of_failure(job.error()));
    standstill.hear(*job);
    if (is_over(job->state))
      end = std::move(*job);
    else if (reader.is_gone(look_every_ms))
      return exit_ok;
  }
}

int fetch(const CLI::App& command, ClusterClient& client, const ResultsOptions& options) {
  if (auto got = client.download(options.job, options.output); !got)
    return complain(command, got.error().message, exit_usage);
  if (options.output == "-") return exit_ok;
  if (options.server.json) {
    print_json({{"result", options.output}, {"summary", options.output + ".summary.json"}});
  } else {
    say(fmt::format("result  {0}\nsummary {0}.summary.json\n", options.output));
  }
  return exit_ok;
}

int results(const CLI::App& command, const ResultsOptions& options) {
  const bool prints = options.follow || options.parts;
  if (prints && !options.output.empty() && options.output != "-")
    return complain(command,
                    fmt::format("{}: expected no -o, or -o -, got {}: lines are printed as they "
                                "are; `gristmill results JOB -o FILE` fetches the result",
                                options.follow ? "--follow" : "--parts", options.output),
                    exit_usage);
  if (!prints && options.output.empty())
    return complain(command,
                    "expected --output, --follow or --parts, got none (see `gristmill results "
                    "--help`)",
                    exit_usage);
  auto client = options.server.connect();
  if (!client) return complain(command, client.error().message, exit_usage);
  return prints ? print_lines(command, *client, options) : fetch(command, *client, options);
}

} // namespace

void add_results(CLI::App& app, int& exit_code) {
  auto* command =
      app.add_subcommand("results", "fetch a job's result and summary, or print its lines as they "
                                    "come");
  auto options = std::make_shared<ResultsOptions>();
  command->add_option("JOB", options->job, "the job's id")->required();
  command->add_option("-o,--output", options->output,
                      "file for the result; - = standard output, without the summary");
  command->add_flag("--follow", options->follow,
                    "print each line once it is durable, in the order in which items end, until "
                    "the job is over");
  command->add_flag("--parts", options->parts,
                    "print the lines of parts (chunks, models, judge) instead, as many as there "
                    "are; of a job in any state");
  options->server.add_to(*command);
  command->footer("Example:\n  gristmill results job-7 -o job-7.jsonl\n"
                  "  gristmill results job-7 --follow\n"
                  "  gristmill results job-7 --parts\n"
                  "With --follow it ends with 0 if all items succeeded, 3 if some failed, 4 if the "
                  "job stopped.");
  command->callback([options, command, &exit_code] { exit_code = results(*command, *options); });
}

} // namespace gristmill::cli
