#include "cli/run.hpp"

#include "actors/kit/log.hpp"
#include "cli/exit_codes.hpp"
#include "cli/inputs.hpp"
#include "cli/job_options.hpp"
#include "cli/local_cluster.hpp"
#include "cli/progress.hpp"
#include "cli/streamed_output.hpp"
#include "coordinator/merge_files.hpp"
#include "protocol/output_form.hpp"

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
  if (output_form(output) == OutputForm::stream) return {};
  for (const auto& path : {output, output + ".part", output + ".summary.json"}) fs::remove(path);
  if (output_form(output) == OutputForm::npy) fs::remove(coordinator::ids_path_of(output));
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

int leave_at_once(int signal, StreamedOutput& stream) {
  std::fputs(fmt::format("\ngristmill run: leaving at once; {}\n", stream.afterwards()).c_str(),
             stderr);
  stream.leave_at_once();
  std::_Exit(128 + signal);
}

// Where the user finds it all; a stream has been seen, and its state may be gone.
std::string places_of(const std::string& output) {
  const OutputForm form = output_form(output);
  if (form == OutputForm::stream) return {};
  std::string places = fmt::format("result  {}\n", output);
  if (form == OutputForm::npy)
    places += fmt::format("rows    {}\n", coordinator::ids_path_of(output));
  return places + fmt::format("summary {}.summary.json\n", output);
}

void print_end(const RunOptions& options, const wiring::JobView& job, const std::string& output) {
  if (options.json) {
    std::ifstream summary{output + ".summary.json"};
    std::cout << summary.rdbuf() << std::endl;
  } else if (!options.quiet) {
    std::fputs(fmt::format("{}: {} items, {} answered, {} failed, {} calls, {} tokens in, {} out\n"
                           "{}",
                           name_of(job.state), job.counts.terminal(), job.counts.completed,
                           job.counts.failed, job.counts.attempts, job.counts.prompt_tokens,
                           job.counts.completion_tokens, places_of(output))
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
           const std::string& output, StreamedOutput& stream) {
  const bool shown = !options.quiet && !options.no_progress && !options.json;
  Progress progress{shown ? progress_mode_of_stderr() : ProgressMode::none};
  int signal = 0;
  for (;;) {
    const int came = interruption.wait(std::chrono::milliseconds{signal != 0 ? 20 : 50});
    if (came != 0 && signal != 0) leave_at_once(came, stream);
    if (const Error* fatal = cluster.fatal()) {
      progress.clear();
      const bool disk = fatal->code == ErrorCode::disk_full;
      return complain(fmt::format("{}; {}", fatal->message, stream.afterwards()), disk ? exit_stopped : exit_internal);
    }
    const wiring::Answer answer = cluster.coordinator().ask_and_wait(wiring::ShowJob{job});
    if (answer.error) return complain(answer.error->message, exit_internal);
    const wiring::JobView& view = answer.jobs.front();
    progress.show(view);
    if (is_over(view.state)) {
      progress.clear();
      const auto interrupted = [&] { return interruption.wait(std::chrono::milliseconds{0}); };
      const int code = stream.finish(cluster, job, interrupted,
                                     exit_code_of(view.state, view.counts),
                                     came != 0 ? came : signal);
      if (view.state == JobState::failed) return complain(view.detail, exit_stopped);
      print_end(options, view, output);
      return code;
    }
    const auto printed = stream.print(cluster, job);
    if (!printed) return complain(printed.error().message, exit_stopped);
    if (*printed == LinePrinter::Printed::closed && signal == 0) {
      progress.clear();
      if (stream.is_temporary()) return complain(stream.closed(), exit_stopped);
      signal = SIGPIPE;
      cluster.drain();
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
      if (signal == SIGPIPE) return complain(stream.closed(), exit_stopped);
      const auto interrupted = [&] { return interruption.wait(std::chrono::milliseconds{0}); };
      const int code = stream.finish(cluster, job, interrupted, 128 + signal, signal);
      std::fputs(fmt::format("stopped after {} items; {}\n", view.counts.terminal(),
                             stream.afterwards())
                     .c_str(),
                 stderr);
      return code;
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
  const bool streams = output_form(options.output) == OutputForm::stream;
  if (streams && options.json)
    return complain("--json: expected -o FILE with it, because both want standard output, got -o -");
  const std::string output =
      streams ? options.output
              : fs::absolute(options.output.empty() ? default_output(options.job.inputs)
                                                    : options.output)
                    .string();
  StreamedOutput stream;
  const auto state_path = stream.state_of(output, options.state);
  if (!state_path) return complain(state_path.error().message);
  const std::string& state = *state_path;
  if (!streams)
    if (auto writable = coordinator::PartFile::probe(output); !writable)
      return complain(writable.error().message);
  if (!streams && !options.restart && fs::exists(output) && !fs::exists(fs::path{state} / "journal.db"))
    return complain(fmt::format("{} exists and is not of a job whose state is in {}; give another -o, "
                                "or --restart to replace it",
                                output, state));
  if (options.restart && reads_standard_input(options.job.inputs)) fs::remove(state + ".stdin");
  auto inputs = local_inputs(options.job.inputs, state);
  if (!inputs) return complain(inputs.error().message);
  spec->inputs = std::move(*inputs);
  spec->output = output;
  for (const std::string& fault : faults_of(*spec)) return complain(fault);
  // Only now that nothing is wrong with the new job is the old one let go.
  if (options.restart)
    if (auto removed = remove_job(output, state); !removed) return complain(removed.error().message);

  Interruption interruption;
  auto cluster = LocalCluster::open({state, options.workers, options.concurrency,
                                     from_seconds(options.drain_timeout_s)});
  if (!cluster) return complain(cluster.error().message);
  auto earlier = look_back((*cluster)->coordinator().recovered(), *spec,
                           streams ? "standard output" : output);
  if (!earlier) return complain(earlier.error().message);
  if (auto opened = stream.open(state); !opened) return complain(opened.error().message);
  if (earlier->over)
    return stream.finish(
        **cluster, JobId{1}, [&] { return interruption.wait(std::chrono::milliseconds{0}); },
        *earlier->over);
  if (auto started = (*cluster)->start(); !started) return complain(started.error().message);
  JobId job{1};
  if (!earlier->resumes) {
    const auto answer = (*cluster)->coordinator().ask_and_wait(wiring::SubmitJob{*spec});
    if (answer.error) return complain(answer.error->message);
    job = answer.jobs.front().id;
  }
  return follow(**cluster, job, interruption, options, output, stream);
}

} // namespace

void add_run(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("run", "run a corpus through a model on this machine");
  auto options = std::make_shared<RunOptions>();
  options->job.add_to(*command);
  command->add_option("-o,--output", options->output, 
                      "result: JSON lines, compressed if it ends with .gz or .zst; .npy = a NumPy "
                      "array with --task embed; - = standard output as items finish, with --state to "
                      "resume [INPUT.results.jsonl]");
  command->add_option("--state", options->state,
                      "state directory [OUTPUT.state; with -o - a temporary one, not resumable]");
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
