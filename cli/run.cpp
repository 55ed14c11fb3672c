#include "cli/run.hpp"

#include "actors/kit/log.hpp"
#include "cli/exit_codes.hpp"
#include "cli/inputs.hpp"
#include "cli/job_options.hpp"
#include "cli/local_cluster.hpp"
#include "cli/progress.hpp"
#include "coordinator/part_file.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iostream>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

struct RunOptions {
  JobOptions job;
  std::string output, state;
  std::uint32_t workers = 1, concurrency = 256;
  double drain_timeout_s = 25;
  bool restart = false, json = false, quiet = false, verbose = false, no_progress = false;
};

int complain(const std::string& sentence, int code = exit_usage) {
  std::fputs(("gristmill run: " + sentence + "\n").c_str(), stderr);
  return code;
}

// Removes what an earlier job left under this output, unless somebody is at work there.
Result<> remove_job(const std::string& output, const std::string& state) {
  if (fs::exists(state)) {
    const auto ours = coordinator::take_state_directory(state);
    if (!ours) return tl::unexpected{ours.error()};
    fs::remove_all(state);
  }
  for (const auto& path : {output, output + ".part", output + ".summary.json"}) fs::remove(path);
  return {};
}

// What is left of an earlier run of the command: nothing, a job to go on with, or one that is over.
struct Earlier {
  bool resumes = false;
  std::optional<int> over; // its exit code
};

Result<Earlier> look_back(journal::Recovered& recovered, const JobSpec& spec, const std::string& output) {
  if (recovered.jobs.empty()) return Earlier{};
  journal::RecoveredJob& job = recovered.jobs.front();
  auto before = job_spec_from_json(job.spec);
  if (!before) return tl::unexpected{before.error()};
  const std::string differs = identity_difference(*before, spec);
  if (!differs.empty())
    return fail(ErrorCode::usage,
                fmt::format("{} differs from that of the job whose state is beside {}; give the same "
                            "to resume it, or --restart to begin anew",
                            differs, output));
  if (spec.limit != 0 && (before->limit == 0 || spec.limit < before->limit))
    return fail(ErrorCode::usage,
                fmt::format("--limit may only grow: the job began with {}, got {}; give --restart to "
                            "begin anew",
                            before->limit == 0 ? "all items" : std::to_string(before->limit), spec.limit));
  if (job.state == JobState::finished || job.state == JobState::cancelled) {
    std::fputs(fmt::format("this job is finished: {} items, {} failed; the result is {} "
                           "(--restart runs it anew)\n",
                           job.counts.terminal(), job.counts.failed, output)
                   .c_str(),
               stderr);
    return Earlier{true, exit_code_of(job.state, job.counts)};
  }
  // Today's budgets, timeouts and endpoints hold; a job that failed is tried again.
  job.spec = to_json(spec);
  if (job.state == JobState::failed) job.state = JobState::running;
  return Earlier{true, {}};
}

// The list of many inputs, before the job that names it.
Result<> write_list(const std::string& path, const std::string& list) {
  if (list.empty()) return {};
  auto file = coordinator::PartFile::create(path, {});
  if (!file) return tl::unexpected{file.error()};
  if (auto appended = (*file)->append(list); !appended) return appended;
  return (*file)->finish();
}

class Interruption {
public:
  Interruption() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr); // before any thread: all inherit it
  }
  // Waits for a signal; 0 when none came.
  int wait(std::chrono::milliseconds at_most) {
    const timespec time{at_most.count() / 1'000, (at_most.count() % 1'000) * 1'000'000};
    const int signal = sigtimedwait(&signals_, nullptr, &time);
    return signal > 0 ? signal : 0;
  }

private:
  sigset_t signals_{};
};

int leave_at_once(int signal) {
  std::fputs("\ngristmill run: leaving at once; the same command resumes\n", stderr);
  std::_Exit(128 + signal);
}

void print_end(const RunOptions& options, const wiring::JobView& job, const std::string& output) {
  if (options.json) {
    std::ifstream summary{output + ".summary.json"};
    std::cout << summary.rdbuf() << std::endl;
  } else if (!options.quiet) {
    if (job.counts.total == 0)
      std::fputs("the input has no items: only blank lines, or a header without rows\n", stderr);
    std::fputs(fmt::format("{}: {} items, {} answered, {} failed, {} calls, {} tokens in, {} out\n"
                           "result  {}\nsummary {}.summary.json\n",
                           name_of(job.state), job.counts.terminal(), job.counts.completed,
                           job.counts.failed, job.counts.attempts, job.counts.prompt_tokens,
                           job.counts.completion_tokens, output, output)
                   .c_str(),
               stderr);
  }
}

// Their farewells are in the journal then, or on the way: a resumed run need not wonder what they did.
bool workers_left(LocalCluster& cluster) {
  return cluster.coordinator().ask_and_wait(wiring::ListWorkers{}).workers.empty();
}

// Waits for the job's end, or for the user's.
int follow(LocalCluster& cluster, JobId job, Interruption& interruption, const RunOptions& options,
           const std::string& output) {
  const bool shown = !options.quiet && !options.no_progress && !options.json;
  Progress progress{shown ? progress_mode_of_stderr() : ProgressMode::none};
  int signal = 0;
  for (;;) {
    const int came = interruption.wait(std::chrono::milliseconds{signal != 0 ? 20 : 50});
    if (came != 0 && signal != 0) leave_at_once(came);
    if (const Error* fatal = cluster.fatal()) {
      progress.clear();
      const bool disk = fatal->code == ErrorCode::disk_full;
      return complain(fatal->message + "; the same command resumes", disk ? exit_stopped : exit_internal);
    }
    const wiring::Answer answer = cluster.coordinator().ask_and_wait(wiring::ShowJob{job});
    if (answer.error) return complain(answer.error->message, exit_internal);
    const wiring::JobView& view = answer.jobs.front();
    progress.show(view);
    if (is_over(view.state)) {
      progress.clear();
      if (view.state == JobState::failed) return complain(view.detail, exit_stopped);
      print_end(options, view, output);
      return exit_code_of(view.state, view.counts);
    }
    if (came != 0) {
      signal = came;
      progress.clear();
      std::fputs(fmt::format("stopping: waiting for {} calls in flight, at most {} s; once more to "
                             "leave at once\n",
                             view.counts.in_flight, options.drain_timeout_s)
                     .c_str(),
                 stderr);
      cluster.drain();
    }
    if (signal != 0 && cluster.drained() && workers_left(cluster)) {
      progress.clear();
      std::fputs(fmt::format("stopped after {} items; the same command resumes\n",
                             view.counts.terminal())
                     .c_str(),
                 stderr);
      return 128 + signal;
    }
  }
}

int run(RunOptions options) {
  set_log_level(options.verbose ? LogLevel::normal : LogLevel::quiet);
  auto spec = options.job.spec();
  if (!spec) return complain(spec.error().message);
  if (spec->endpoints.empty()) {
    const char* base = std::getenv("OPENAI_BASE_URL");
    options.job.endpoints = {base != nullptr ? base : "https://api.openai.com/v1"};
    spec = options.job.spec();
  }
  if (options.output.empty()) {
    auto named = default_output(options.job.inputs);
    if (!named) return complain(named.error().message);
    options.output = std::move(*named);
  }
  const std::string output = fs::absolute(options.output);
  const std::string state = options.state.empty() ? output + ".state" : options.state;
  if (!options.restart && fs::exists(output) && !fs::exists(fs::path{state} / "journal.db"))
    return complain(fmt::format("{} exists and is not of a job whose state is in {}; give another -o, "
                                "or --restart to replace it",
                                output, state));
  auto inputs = found_inputs(options.job.inputs, output);
  if (!inputs) return complain(inputs.error().message);
  std::optional<StandardInput> standard;
  if (reads_standard_input(options.job.inputs)) {
    auto spooled = StandardInput::spool(state, options.restart);
    if (!spooled) return complain(spooled.error().message);
    standard.emplace(std::move(*spooled));
    for (InputSpec& input : *inputs)
      if (input.path == "-") input = standard->input();
  }
  ListedInputs many = listed(std::move(*inputs), fs::path{state} / "inputs.jsonl");
  spec->inputs = std::move(many.inputs);
  spec->output = output;
  for (const std::string& fault : faults_of(*spec)) return complain(fault);
  // Only now that nothing is wrong with the new job is the old one let go.
  if (options.restart)
    if (auto removed = remove_job(output, state); !removed) return complain(removed.error().message);
  if (standard)
    if (auto kept = standard->keep(); !kept) return complain(kept.error().message);

  Interruption interruption;
  auto cluster = LocalCluster::open({state, options.workers, options.concurrency,
                                     from_seconds(options.drain_timeout_s)});
  if (!cluster) return complain(cluster.error().message);
  auto earlier = look_back((*cluster)->coordinator().recovered(), *spec, output);
  if (!earlier) return complain(earlier.error().message);
  if (earlier->over) return *earlier->over;
  if (auto started = (*cluster)->start(); !started) return complain(started.error().message);
  JobId job{1};
  if (!earlier->resumes) {
    if (auto written = write_list(spec->inputs.front().path, many.list); !written)
      return complain(written.error().message);
    const auto answer = (*cluster)->coordinator().ask_and_wait(wiring::SubmitJob{*spec});
    if (answer.error) return complain(answer.error->message);
    job = answer.jobs.front().id;
  }
  return follow(**cluster, job, interruption, options, output);
}

} // namespace

void add_run(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("run", "run a corpus through a model on this machine");
  auto options = std::make_shared<RunOptions>();
  options->job.add_to(*command);
  command->add_option("-o,--output", options->output, "result JSONL [INPUT.results.jsonl]");
  command->add_option("--state", options->state, "state directory [OUTPUT.state]");
  command->add_option("--workers", options->workers, "worker nodes in this process")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  command->add_option("--concurrency", options->concurrency, "most calls in flight per worker")
      ->check(CLI::Range(1u, 32'768u))
      ->capture_default_str();
  command->add_option("--drain-timeout", options->drain_timeout_s,
                      "seconds to wait for calls in flight after Ctrl-C")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  command->add_flag("--restart", options->restart, "forget what an earlier run left, begin anew");
  command->add_flag("--json", options->json, "print the summary as JSON on standard output");
  command->add_flag("-q,--quiet", options->quiet, "print errors only");
  command->add_flag("-v,--verbose", options->verbose, "log what happens inside");
  command->add_flag("--no-progress", options->no_progress, "no progress line");
  command->footer("Example:\n"
                  "  gristmill run requests.jsonl --endpoint http://localhost:8000/v1 -o answers.jsonl\n"
                  "The same command again resumes; a finished job says so and does nothing.");
  command->callback([options, &exit_code] { exit_code = run(std::move(*options)); });
}

} // namespace gristmill::cli
