#include "cli/cluster/submit.hpp"
#include "protocol/rules/priced.hpp"
#include "protocol/rules/served.hpp"

#include "actors/kit/program/config_options.hpp"
#include "actors/kit/program/stop_signals.hpp"
#include "actors/kit/program/terminal.hpp"
#include "cli/cluster/placement.hpp"
#include "cli/cluster/server_options.hpp"
#include "cli/exit_codes.hpp"
#include "cli/inputs.hpp"
#include "cli/job_options.hpp"
#include "cli/own_files.hpp"
#include "cli/terminal/closing_lines.hpp"
#include "cli/terminal/deadline.hpp"
#include "cli/terminal/money.hpp"
#include "cli/terminal/progress.hpp"
#include "coordinator/http/api/job_json.hpp"
#include "coordinator/http/api/pool_json.hpp"
#include "protocol/job/pools.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <set>
#include <thread>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

constexpr auto look_every = std::chrono::milliseconds{500};

struct SubmitOptions {
  JobOptions job;
  ServerOptions server;
  std::string output;
  bool in_place = false, wait = false, quiet = false, no_progress = false;
  std::string deadline;
};

struct WatchOptions {
  ServerOptions server;
  std::string job;
  bool quiet = false, no_progress = false;
};

// Waits until the job is over, or goes on only if somebody does something.
Result<wiring::JobView> wait_for_end(ClusterClient& client, const std::string& job,
                                     ProgressMode mode) {
  // The job does not end with the command that watches it.
  StopSignals signals;
  signals.leave_at_once();
  client.be_patient(restart_patience);
  Progress progress{mode};
  for (;;) {
    auto view = client.show(job);
    if (!view || is_over(view->state)) return view;
    // Some pauses end by themselves, as soon as somebody has mended their cause.
    const bool goes_on = view->reason == JobReason::disk || view->reason == JobReason::endpoint;
    if (view->state == JobState::paused && !goes_on) return view;
    progress.show(*view);
    std::this_thread::sleep_for(look_every);
  }
}

ProgressMode mode_of(bool quiet, bool no_progress) {
  return quiet || no_progress ? ProgressMode::none : progress_mode_of_stderr();
}

// What the job has met, and the command that goes on with it.
std::string closing_lines_of(const wiring::JobView& job, const ServerOptions& server) {
  const std::string id = to_string(job.id);
  if (job.state == JobState::paused || job.state == JobState::failed)
    return closing_lines(job, job.reason == JobReason::budget
                                  ? ""
                                  : fmt::format("gristmill resume {}{}", id, server.typed()));
  if (job.counts.failed == 0) return closing_lines(job, "");
  if (is_of_input(job)) return closing_lines_of_input(job, "");
  bool mend = false;
  const std::string classes = classes_to_retry(job, mend);
  return closing_lines(job,
                       fmt::format("gristmill retry {}{}{}", id,
                                   classes.empty() ? "" : " --class " + classes, server.typed()),
                       mend);
}

// One that stopped: why, and what goes on.
int complain_of_stop(const CLI::App& command, const wiring::JobView& job,
                     const ServerOptions& server, bool quiet) {
  const int code =
      complain(command, fmt::format("{} {}: {}", to_string(job.id), name_of(job.state), job.detail),
               exit_code_of(job.state, job.reason, job.counts));
  if (!server.json && !quiet) say(closing_lines_of(job, server));
  return code;
}

std::string end_of(const wiring::JobView& job) {
  const std::string cached =
      job.counts.cached == 0 ? "" : fmt::format("{} cached, ", job.counts.cached);
  return fmt::format(
      "{} {}: {} items, {} answered, {} failed, {}{} calls, {} tokens in, {} out{}\n",
      to_string(job.id), name_of(job.state), job.counts.terminal(), job.counts.completed,
      job.counts.failed, cached, job.counts.calls, job.counts.prompt_tokens,
      job.counts.completion_tokens, and_cost_of(job.counts.cost, job.budget));
}

int wait_and_fetch(const CLI::App& command, ClusterClient& client, const SubmitOptions& options,
                   const std::string& job) {
  const auto end =
      wait_for_end(client, job, mode_of(options.quiet || options.server.json, options.no_progress));
  const std::string later = fmt::format("; `gristmill watch {}` waits for it again", job);
  if (!end)
    return complain(command, end.error().message + later, exit_code_of_failure(end.error()));
  if (end->state == JobState::failed || end->state == JobState::paused)
    return complain_of_stop(command, *end, options.server, options.quiet);
  if (auto got = client.download(job, options.output); !got)
    return complain(command,
                    got.error().message + fmt::format("; `gristmill results {}` fetches it", job),
                    exit_code_of_failure(got.error()));
  if (options.server.json) print_json(coordinator::json_of(*end));
  if (!options.server.json && !options.quiet)
    say(fmt::format("{0}result  {1}\nsummary {1}.summary.json\n{2}", end_of(*end), options.output,
                    closing_lines_of(*end, options.server)));
  return exit_code_of(end->state, end->reason, end->counts);
}

// The coordinator would refuse the job for the same reason, but only after its inputs are uploaded.
// Whoever is not answered here is told why by what follows.
std::string why_refused(ClusterClient& client, const JobSpec& spec) {
  if (!spec.endpoints.empty() && !spec.limits.budget) return {};
  const auto answer = client.ask("/api/v1/pools");
  if (!answer) return {};
  std::set<std::string> served;
  std::vector<PoolSpec> pools;
  for (const auto& pool : answer->value("pools", ClusterClient::Json::array())) {
    pools.push_back(coordinator::pool_spec_of(pool));
    if (!pool.value("endpoints", ClusterClient::Json::array()).empty())
      served.insert(pools.back().model);
  }
  if (std::string why = why_not_served(spec, served); !why.empty()) return why;
  return spec.limits.budget ? why_unpriced(spec, pools) : std::string{};
}

// What only a job among others has.
Result<> set_share(JobSpec& spec, const SubmitOptions& options) {
  if (options.deadline.empty()) return {};
  const auto deadline = deadline_of(options.deadline, std::time(nullptr));
  GRISTMILL_TRY(deadline);
  spec.share.deadline = *deadline;
  return {};
}

// What does not go together with --open, or without it.
std::string why_not_open(const SubmitOptions& options) {
  if (options.job.said.open)
    return options.wait ? "--wait: expected a job that ends by itself, got --open; `gristmill "
                          "close` ends it, `gristmill watch` and `gristmill results --follow` wait"
                        : "";
  return options.job.inputs.empty() ? "expected INPUT, got none; --open begins a job "
                                      "without any"
                                    : "";
}

int submit(const CLI::App& command, SubmitOptions options) {
  if (const std::string why = why_not_open(options); !why.empty())
    return complain(command, why, exit_usage);
  if (!options.wait && !options.output.empty())
    return complain(command,
                    "-o: expected --wait with it; without, fetch the result later with "
                    "`gristmill results JOB -o OUT`",
                    exit_usage);
  if (options.output.empty() && options.wait) {
    auto named = default_output(options.job.inputs);
    if (!named) return complain(command, named.error().message, exit_usage);
    options.output = std::move(*named);
  }
  std::vector<InputSpec> named;
  for (const std::string& name : options.job.inputs) named.push_back({name, name});
  if (options.wait)
    if (auto apart = OwnFiles{options.output, ""}.refuse_inputs(named); !apart)
      return complain(command, apart.error().message, exit_usage);
  std::error_code error;
  if (options.wait && fs::exists(options.output, error))
    return complain(command,
                    fmt::format("{} exists: give another -o, or move it away", options.output),
                    exit_usage);
  if (options.wait)
    if (auto fits = ClusterClient::check_output(options.output); !fits)
      return complain(command, fits.error().message, exit_usage);
  auto client = options.server.connect();
  if (!client) return complain(command, client.error().message, exit_usage);
  auto spec = options.job.spec();
  if (!spec) return complain(command, spec.error().message, exit_usage);
  if (auto set = set_share(*spec, options); !set)
    return complain(command, set.error().message, exit_usage);
  if (const std::string why = why_refused(*client, *spec); !why.empty())
    return complain(command, why, exit_usage);
  Placement placement{*client, options.job.inputs};
  const auto refusal =
      options.in_place ? placement.in_place(*spec) : placement.upload(*spec, options.output);
  if (refusal) return complain(command, refusal->sentence, refusal->exit_code);
  const auto job = client->submit(*spec);
  placement.settle(job.has_value());
  if (!job) return complain(command, job.error().message, exit_usage);
  const std::string id = to_string(job->id);
  if (!options.server.json) {
    print(id + "\n");
  } else if (!options.wait) {
    print_json(coordinator::json_of(*job));
  }
  std::fflush(stdout);
  return options.wait ? wait_and_fetch(command, *client, options, id) : exit_ok;
}

int watch(const CLI::App& command, const WatchOptions& options) {
  auto client = options.server.connect();
  if (!client) return complain(command, client.error().message, exit_usage);
  const auto end = wait_for_end(*client, options.job,
                                mode_of(options.quiet || options.server.json, options.no_progress));
  if (!end) return complain(command, end.error().message, exit_code_of_failure(end.error()));
  if (options.server.json) print_json(coordinator::json_of(*end));
  if (end->state == JobState::failed || end->state == JobState::paused)
    return complain_of_stop(command, *end, options.server, options.quiet);
  if (!options.server.json && !options.quiet)
    say(end_of(*end) + closing_lines_of(*end, options.server));
  return exit_code_of(end->state, end->reason, end->counts);
}

void add_display_to(CLI::App& command, bool& quiet, bool& no_progress) {
  command.add_flag("-q,--quiet", quiet, "print errors only");
  command.add_flag("--no-progress", no_progress, "no progress line");
}

} // namespace

void add_submit(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("submit", "hand a job to a coordinator; prints its id");
  auto options = std::make_shared<SubmitOptions>();
  options->job.add_to(*command, "[those that pools and workers have for the job's model]", true);
  options->server.add_to(*command);
  command->add_flag("--in-place", options->in_place,
                    "the inputs are files, directories and patterns below the coordinator's "
                    "--data-root: upload none of them");
  command->add_flag("--wait", options->wait, "wait for the end and fetch the result");
  command->add_option("-o,--output", options->output,
                      "with --wait: result, compressed if it ends with .gz or .zst "
                      "[INPUT.results.jsonl]");
  command->add_option(
      "--deadline", options->deadline,
      "a time (2026-11-23T06:00) or a span (90s, 30m, 2h, 1d): the job's share grows "
      "as far as it must to be done by then [none]");
  add_display_to(*command, options->quiet, options->no_progress);
  command->footer("Example:\n"
                  "  gristmill submit requests.jsonl --model llama-3 --wait -o answers.jsonl\n"
                  "  JOB=$(gristmill submit --open --model llama-3)\n"
                  "Ends with 0 if all items succeeded, 3 if some failed, 4 if the job stopped.");
  command->callback([options, command, &exit_code] {
    const auto config = lay_config(options->job.config, *command);
    if (!config) {
      exit_code = complain(*command, config.error().message, exit_usage);
    } else if (!config->pools.empty()) {
      const auto fault = config_fault(config->path, config->first_pool,
                                      "expected no [[pool]]: pools belong to the coordinator "
                                      "(gristmill-coordinator --config FILE); remove it");
      exit_code = complain(*command, fault.value().message, exit_usage);
    } else {
      exit_code = submit(*command, *options);
    }
  });
}

void add_watch(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("watch", "show a job's progress until its end");
  auto options = std::make_shared<WatchOptions>();
  command->add_option("JOB", options->job, "the job's id")->required();
  options->server.add_to(*command);
  add_display_to(*command, options->quiet, options->no_progress);
  command->footer("Example:\n  gristmill watch job-7\n"
                  "Ends with 0 if all items succeeded, 3 if some failed, 4 if the job stopped.");
  command->callback([options, command, &exit_code] { exit_code = watch(*command, *options); });
}

} // namespace gristmill::cli
