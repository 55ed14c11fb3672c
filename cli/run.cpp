#include "cli/run.hpp"

#include "actors/kit/config_options.hpp"
#include "actors/kit/log.hpp"
#include "cli/dry_run.hpp"
#include "cli/exit_codes.hpp"
#include "cli/inputs.hpp"
#include "cli/job_options.hpp"
#include "cli/local_cluster.hpp"
#include "cli/models.hpp"
#include "cli/money.hpp"
#include "cli/progress.hpp"
#include "cli/streamed_output.hpp"
#include "coordinator/merge_files.hpp"
#include "coordinator/part_file.hpp"
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
  std::optional<std::string> retry_failed; // classes, separated by commas; empty = all
  bool restart = false, json = false, quiet = false, verbose = false, no_progress = false;
  bool dry_run = false;
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

// How the command goes on with what an earlier run of it left: not at all, with a job, or by saying
// that the job is over.
struct Earlier {
  std::optional<wiring::ReopenJob> reopen;
  std::optional<int> over; // its exit code
};

std::string limit_of(std::uint64_t limit) {
  return limit == 0 ? "all items" : std::to_string(limit);
}

Result<Earlier> look_back(const journal::Recovered& recovered, const JobSpec& spec,
                          const RunOptions& options, const std::string& output) {
  if (recovered.jobs.empty()) {
    if (options.retry_failed)
      return fail(ErrorCode::usage, fmt::format("--retry-failed: expected a finished job whose "
                                                "state is beside {}, there is none",
                                                output));
    return Earlier{};
  }
  const journal::RecoveredJob& job = recovered.jobs.front();
  auto before = job_spec_from_json(job.spec);
  if (!before) return tl::unexpected{before.error()};
  const std::string differs = identity_difference(*before, spec);
  if (!differs.empty())
    return fail(
        ErrorCode::usage,
        fmt::format("{} differs from that of the job whose state is beside {}; give the same "
                    "to resume it, or --restart to begin anew",
                    differs, output));
  const bool grows = before->limit != 0 && (spec.limit == 0 || spec.limit > before->limit);
  if (spec.limit != before->limit && !grows)
    return fail(
        ErrorCode::usage,
        fmt::format("--limit may only grow: the job began with {}, got {}; give --restart to "
                    "begin anew",
                    limit_of(before->limit), limit_of(spec.limit)));
  Earlier earlier;
  const bool retries = options.retry_failed && job.counts.failed > 0;
  if ((job.state == JobState::finished || job.state == JobState::cancelled) && !grows && !retries) {
    std::fputs(fmt::format("this job is {}: {} items, {} failed; the result is {} ({})\n",
                           name_of(job.state), job.counts.terminal(), job.counts.failed, output,
                           job.counts.failed > 0 ? "--retry-failed runs the failed ones again, "
                                                   "--restart all"
                                                 : "--restart runs it anew")
                   .c_str(),
               stderr);
    earlier.over = exit_code_of(job.state, job.reason, job.counts);
    return earlier;
  }
  // Today's budgets, timeouts and endpoints hold, but the model that was found at the beginning; a
  // job that was stopped is tried again.
  earlier.reopen = wiring::ReopenJob{job.job, spec, {}};
  earlier.reopen->spec->default_model = before->default_model;
  if (options.retry_failed) earlier.reopen->retry = *outcome_classes_named(*options.retry_failed);
  return earlier;
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

// What can be wrong with a job before it begins, found without a call; a sentence and an exit code.
struct Refusal {
  std::string sentence;
  int exit_code = exit_usage;
};

// Items that name no model get the only one that the endpoints serve.
Result<> find_model(JobSpec& spec) {
  const auto needed = may_need_model(spec);
  if (!needed) return tl::unexpected{needed.error()};
  if (!*needed) return {};
  auto model = discovered_model(spec);
  if (!model) return tl::unexpected{model.error()};
  spec.default_model = std::move(*model);
  return {};
}

// Before a new job begins: under --strict its whole input is read, so that nothing is paid for one
// that would fail in the middle.
std::optional<Refusal> prepare(JobSpec& spec) {
  if (spec.strict) {
    const auto bad = first_bad_line(spec);
    if (!bad) return Refusal{bad.error().message};
    if (*bad)
      return Refusal{fmt::format("{}: {}", (*bad)->source, (*bad)->sentence), exit_bad_input};
  }
  if (auto found = find_model(spec); !found) return Refusal{found.error().message};
  return std::nullopt;
}

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
    if (job.counts.total == 0)
      std::fputs("the input has no items: only blank lines, or a header without rows\n", stderr);
    std::fputs(
        fmt::format("{}: {} items, {} answered, {} failed, {} calls, {} tokens in, {} out{}\n"
                    "{}",
                    name_of(job.state), job.counts.terminal(), job.counts.completed,
                    job.counts.failed, job.counts.attempts, job.counts.prompt_tokens,
                    job.counts.completion_tokens, and_cost(job.counts.cost_nano_usd),
                    places_of(output))
            .c_str(),
        stderr);
  }
}

// Their farewells are in the journal then, or on the way: a resumed run need not wonder what they
// did.
bool workers_left(LocalCluster& cluster) {
  return cluster.coordinator().ask_and_wait(wiring::ListWorkers{}).workers.empty();
}

// Waits for the job's end, or for the user's.
int follow(LocalCluster& cluster, JobId job, Interruption& interruption, const RunOptions& options,
           const std::string& output, StreamedOutput& stream) {
  const bool shown = !options.quiet && !options.no_progress && !options.json;
  Progress progress{shown ? progress_mode_of_stderr() : ProgressMode::none};
  int signal = 0;
  std::optional<wiring::JobView> stopped; // as it was when the job was paused
  for (;;) {
    const int came = interruption.wait(std::chrono::milliseconds{signal != 0 ? 20 : 50});
    if (came != 0 && signal != 0) leave_at_once(came, stream);
    if (const Error* fatal = cluster.fatal()) {
      progress.clear();
      const bool disk = fatal->code == ErrorCode::disk_full;
      return complain(fmt::format("{}; {}", fatal->message, stream.afterwards()),
                      disk ? exit_stopped : exit_internal);
    }
    const wiring::Answer answer = cluster.coordinator().ask_and_wait(wiring::ShowJob{job});
    if (answer.error) return complain(answer.error->message, exit_internal);
    const wiring::JobView& view = answer.jobs.front();
    progress.show(view);
    if (is_over(view.state)) {
      progress.clear();
      const auto interrupted = [&] { return interruption.wait(std::chrono::milliseconds{0}); };
      const int ended = exit_code_of(view.state, view.reason, view.counts);
      const int code = stream.finish(cluster, job, interrupted, ended, came != 0 ? came : signal);
      if (view.state == JobState::failed) return complain(view.detail, ended);
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
    if (view.state == JobState::paused && !stopped) {
      // Calls in flight end and are recorded, as they are after Ctrl-C.
      stopped = view;
      cluster.drain();
    }
    if (stopped && cluster.drained() && workers_left(cluster)) {
      progress.clear();
      return complain(stopped->detail + "; the same command resumes, --restart begins anew",
                      exit_stopped);
    }
    if (came != 0 && !stopped) {
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
      std::fputs(
          fmt::format("stopped after {} items; {}\n", view.counts.terminal(), stream.afterwards())
              .c_str(),
          stderr);
      return code;
    }
  }
}

Prices prices_of(const std::vector<PoolSpec>& pools) {
  constexpr double unit = 1e6; // of a price in a pool, for one US$ a million tokens
  Prices prices;
  for (const PoolSpec& pool : pools)
    if (pool.price)
      prices[pool.model] = {static_cast<double>(pool.price.input) / unit,
                            static_cast<double>(pool.price.output) / unit};
  return prices;
}

int run(RunOptions options, std::vector<PoolSpec> pools) {
  set_log_level(options.verbose ? LogLevel::normal : LogLevel::quiet);
  auto spec = options.job.spec();
  if (!spec) return complain(spec.error().message);
  if (const auto classes = outcome_classes_named(options.retry_failed.value_or("")); !classes)
    return complain("--retry-failed: " + classes.error().message);
  if (spec->endpoints.empty() && pools.empty()) {
    const char* base = std::getenv("OPENAI_BASE_URL");
    options.job.endpoints = {base != nullptr ? base : "https://api.openai.com/v1"};
    spec = options.job.spec();
  }
  const bool streams = output_form(options.output) == OutputForm::stream;
  if (streams && options.json)
    return complain(
        "--json: expected -o FILE with it, because both want standard output, got -o -");
  if (options.output.empty()) {
    auto named = default_output(options.job.inputs);
    if (!named) return complain(named.error().message);
    options.output = std::move(*named);
  }
  const std::string output = streams ? options.output : fs::absolute(options.output).string();
  StreamedOutput stream;
  const auto state_path = stream.state_of(output, options.state);
  if (!state_path) return complain(state_path.error().message);
  const std::string& state = *state_path;
  if (!streams && !options.dry_run)
    if (auto writable = coordinator::PartFile::probe(output); !writable)
      return complain(writable.error().message);
  if (!streams && !options.restart && fs::exists(output) &&
      !fs::exists(fs::path{state} / "journal.db"))
    return complain(
        fmt::format("{} exists and is not of a job whose state is in {}; give another -o, "
                    "or --restart to replace it",
                    output, state));
  const bool known = fs::exists(fs::path{state} / "journal.db");
  if (options.dry_run)
    return dry_run(*spec, options.job.inputs, {output, state, known && !options.restart},
                   prices_of(pools), options.json);
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
  JobSpec looked = *spec; // with the inputs themselves, where they are now
  looked.inputs = *inputs;
  if (standard)
    for (InputSpec& input : looked.inputs)
      if (input.path == standard->input().path) input.path = standard->readable_path();
  ListedInputs many = listed(std::move(*inputs), fs::path{state} / "inputs.jsonl");
  spec->inputs = std::move(many.inputs);
  spec->output = output;
  for (const std::string& fault : faults_of(*spec)) return complain(fault);
  if (const std::string why = why_not_served(*spec, models_of(pools)); !why.empty())
    return complain(why);
  if (options.restart || !known)
    if (const auto refusal = prepare(looked))
      return complain(refusal->sentence, refusal->exit_code);
  // Only now that nothing is wrong with the new job is the old one let go.
  if (options.restart)
    if (auto removed = remove_job(output, state); !removed)
      return complain(removed.error().message);
  if (standard)
    if (auto kept = standard->keep(); !kept) return complain(kept.error().message);

  Interruption interruption;
  auto cluster = LocalCluster::open({state, options.workers, options.concurrency,
                                     from_seconds(options.drain_timeout_s), std::move(pools)});
  if (!cluster) return complain(cluster.error().message);
  auto earlier = look_back((*cluster)->coordinator().recovered(), *spec, options,
                           streams ? "standard output" : output);
  if (!earlier) return complain(earlier.error().message);
  if (auto opened = stream.open(state); !opened) return complain(opened.error().message);
  if (earlier->over)
    return stream.finish(
        **cluster, JobId{1}, [&] { return interruption.wait(std::chrono::milliseconds{0}); },
        *earlier->over);
  if (!earlier->reopen && known && !options.restart)
    if (const auto refusal = prepare(looked))
      return complain(refusal->sentence, refusal->exit_code);
  spec->default_model = looked.default_model;
  if (auto started = (*cluster)->start(); !started) return complain(started.error().message);
  if (!earlier->reopen)
    if (auto written = write_list(spec->inputs.front().path, many.list); !written)
      return complain(written.error().message);
  auto& coordinator = (*cluster)->coordinator();
  const auto answer = earlier->reopen ? coordinator.ask_and_wait(std::move(*earlier->reopen))
                                      : coordinator.ask_and_wait(wiring::SubmitJob{*spec});
  if (answer.error) return complain(answer.error->message);
  const JobId job = answer.jobs.front().id;
  return follow(**cluster, job, interruption, options, output, stream);
}

} // namespace

void add_run(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("run", "run a corpus through a model on this machine");
  auto options = std::make_shared<RunOptions>();
  options->job.add_to(*command, "[$OPENAI_BASE_URL, else https://api.openai.com/v1]");
  command->add_option(
      "-o,--output", options->output,
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
  command
      ->add_option("--drain-timeout", options->drain_timeout_s,
                   "seconds to wait for calls in flight after Ctrl-C")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  command->add_flag("--dry-run", options->dry_run,
                    "read the whole input, count and estimate; call nothing, write nothing");
  auto* restart = command->add_flag("--restart", options->restart,
                                    "forget what an earlier run left, begin anew");
  command
      ->add_option("--retry-failed", options->retry_failed,
                   "run the failed items of a finished job again [CLASS,...: of these classes]")
      ->expected(0, 1)
      ->default_str("")
      ->excludes(restart);
  command->add_flag("--json", options->json, "print the summary as JSON on standard output");
  command->add_flag("-q,--quiet", options->quiet, "print errors only");
  command->add_flag("-v,--verbose", options->verbose, "log what happens inside");
  command->add_flag("--no-progress", options->no_progress, "no progress line");
  command->footer(
      "Example:\n"
      "  gristmill run requests.jsonl --endpoint http://localhost:8000/v1 -o answers.jsonl\n"
      "  gristmill run requests.jsonl --dry-run        (counts and estimates, calls nothing)\n"
      "The same command again resumes; a finished job says so and does nothing.");
  command->callback([options, command, &exit_code] {
    auto config = lay_config(options->job.config, *command);
    exit_code = config ? run(std::move(*options), std::move(config->pools))
                       : complain(config.error().message);
  });
}

} // namespace gristmill::cli
