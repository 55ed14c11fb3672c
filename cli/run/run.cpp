#include "cli/run/run.hpp"
#include "protocol/rules/job_faults.hpp"
#include "protocol/rules/priced.hpp"
#include "protocol/rules/served.hpp"

#include "actors/kit/log.hpp"
#include "actors/kit/program/config_options.hpp"
#include "actors/kit/program/terminal.hpp"
#include "cli/dry_run/dry_run.hpp"
#include "cli/dry_run/field_check.hpp"
#include "cli/inputs.hpp"
#include "cli/own_files.hpp"
#include "cli/run/earlier_run.hpp"
#include "cli/run/follow.hpp"
#include "cli/run/keys.hpp"
#include "cli/run/known_result.hpp"
#include "cli/run/merge_again.hpp"
#include "cli/run/models.hpp"
#include "cli/run/output_lock.hpp"
#include "cli/run/output_place.hpp"
#include "cli/run/packing_check.hpp"
#include "cli/run/standard_input.hpp"
#include "cli/run/standard_stream.hpp"
#include "coordinator/inputs/digest.hpp"
#include "coordinator/result/part_file.hpp"
#include "protocol/job/output_form.hpp"
#include "worker/http/curl_client.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

// The list of many inputs, before the job that names it.
Result<> write_list(const std::string& path, const std::string& list) {
  if (list.empty()) return {};
  auto file = coordinator::PartFile::create(path, {.readers = coordinator::Readers::owner});
  GRISTMILL_TRY(file);
  GRISTMILL_TRY((*file)->append(list));
  return (*file)->finish();
}

// A full disk stops the command; nothing is wrong with how it was called.
int exit_code_of_disk(const Error& error) {
  return error.code == ErrorCode::disk_full || error.code == ErrorCode::io ? exit_stopped
                                                                           : exit_usage;
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

// One run of the command. Each step but the last returns an exit code when it ends the command.
class RunCommand {
public:
  RunCommand(RunOptions options, std::vector<PoolSpec> pools)
      : options_{std::move(options)}, pools_{std::move(pools)} {}

  int run() {
    if (auto readable = worker::check_ca_file(options_.ca_file); !readable)
      return complain(readable.error().message);
    set_log_format(log_format_named(options_.log_format));
    set_log_level(options_.verbose ? LogLevel::normal : LogLevel::quiet);
    if (auto bytes = options_.cache.bytes_max(); !bytes) return complain(bytes.error().message);
    if (const auto over = read_spec()) return *over;
    if (const auto over = find_places()) return *over;
    if (options_.dry_run)
      return dry_run(spec_, options_.job.inputs,
                     {output_, state_, known_ && !options_.restart, options_.restart,
                      options_.cache.directory},
                     prices_of(pools_), options_.json);
    if (const auto over = find_inputs()) return *over;
    if (const auto over = refuse_early()) return *over;
    if (const auto over = make_way()) return *over;
    return begin();
  }

private:
  using Over = std::optional<int>;

  Over read_spec();
  Over find_places();
  Over refuse_other_result();
  Over refuse_loss();
  std::vector<OwnFiles::NamedFile> named_files() const;
  Over find_inputs();
  Result<InputSpec> standard_input();
  Over refuse_early();
  Over refuse_worthless();
  Over refuse_unpriced();
  Over make_way();
  Over check_new_job();
  Over write_again(coordinator::CoordinatorHost& coordinator);
  Over name_inputs();
  Over take_digests();
  LocalOptions local_options();
  int begin();
  int ended(int code);

  RunOptions options_;
  std::vector<PoolSpec> pools_;
  JobSpec spec_, looked_;         // looked_: with the inputs themselves, where they are now
  std::vector<InputSpec> inputs_; // one by one, where they will be
  std::string output_, state_;
  bool streams_ = false, known_ = false; // known_: an earlier run has left its state
  StreamedOutput stream_;
  std::optional<OwnFiles> own_;
  std::optional<OutputLock> lock_;
  std::optional<StandardInput> standard_;
  std::unique_ptr<StandardStream> growing_; // standard input whose end has not come
  bool remembers_ = false;                  // the job knows standard input as one that goes on
  bool consumed_ = false;                   // standard input is gone with the job's success
  std::string input_list_;                  // the inputs, when they are too many for the spec
};

RunCommand::Over RunCommand::read_spec() {
  if (const auto classes = outcome_classes_named(options_.retry_failed.value_or("")); !classes)
    return complain("--retry-failed: " + classes.error().message);
  if (options_.job.endpoints.empty() && pools_.empty()) {
    const char* base = std::getenv("OPENAI_BASE_URL");
    options_.job.endpoints = {base != nullptr ? base : "https://api.openai.com/v1"};
  }
  auto spec = options_.job.spec();
  if (!spec) return complain(spec.error().message);
  spec_ = std::move(*spec);
  return {};
}

RunCommand::Over RunCommand::find_places() {
  streams_ = output_form(options_.output) == OutputForm::stream;
  if (streams_ && options_.json)
    return complain(
        "--json: expected -o FILE with it, because both want standard output, got -o -");
  if (options_.output.empty()) {
    auto named = default_output(options_.job.inputs);
    if (!named) return complain(named.error().message);
    options_.output = std::move(*named);
  }
  output_ = streams_ ? options_.output : fs::absolute(options_.output).string();
  auto state = stream_.state_of(output_, options_.state);
  if (!state) return complain(state.error().message);
  state_ = std::move(*state);
  // Not before: the state lies beside the link, which is on its user's disk.
  if (!streams_) output_ = written_place(output_);
  if (!streams_ && is_one_place(output_, state_))
    return complain(fmt::format("-o: expected a file apart from the state directory, got {} for "
                                "both: give another -o, or another --state",
                                options_.output));
  known_ = fs::exists(fs::path{state_} / "journal.db");
  own_.emplace(output_, state_);
  if (const auto over = refuse_loss()) return over;
  if (streams_) return {};
  if (!options_.dry_run)
    if (auto writable = coordinator::PartFile::probe(output_); !writable)
      return complain(writable.error().message);
  return options_.restart || !fs::exists(output_) ? Over{} : refuse_other_result();
}

// What stands at OUTPUT is this job's own, or is not replaced. A state directory beside it, under
// the name that we give one, goes with it wherever both are moved.
RunCommand::Over RunCommand::refuse_other_result() {
  std::error_code error;
  if (known_ && options_.state.empty()) return {};
  if (known_) {
    const auto spec = recorded_spec(state_);
    if (!spec) return complain(spec.error().message);
    if (*spec && ((*spec)->output == output_ || fs::equivalent((*spec)->output, output_, error)))
      return {};
    const auto own = is_result_of(output_, state_);
    if (!own) return complain(own.error().message, exit_stopped);
    if (*spec && *own) return {};
  }
  return complain(
      fmt::format("{} exists and is not of a job whose state is in {}; give another -o, "
                  "or --restart to replace it",
                  output_, state_));
}

// What the command reads besides its inputs, by the option that names it.
std::vector<OwnFiles::NamedFile> RunCommand::named_files() const {
  const JobOptions& job = options_.job;
  std::vector<OwnFiles::NamedFile> files{{"--prompt-file", job.prompt_file},
                                         {"--json-schema", job.json_schema},
                                         {"--tokenizer", spec_.tokenizer_file},
                                         {"--api-key-file", job.api_key_file},
                                         {"--config", job.config},
                                         {"--ca-file", options_.ca_file}};
  for (const PoolSpec& pool : pools_)
    for (const EndpointSpec& endpoint : pool.endpoints)
      files.push_back({"api_key_file in --config", endpoint.api_key_file});
  return files;
}

// Before anything is written or advised: nothing of the user's may be in the way.
RunCommand::Over RunCommand::refuse_loss() {
  std::vector<InputSpec> named;
  for (const std::string& name : options_.job.inputs) named.push_back({name, name});
  if (auto apart = own_->refuse_inputs(named); !apart) return complain(apart.error().message);
  if (auto apart = own_->refuse_options(named_files()); !apart)
    return complain(apart.error().message);
  Result<> apart;
  if (!streams_) apart = own_->refuse_output_among(options_.job.inputs);
  if (!apart && known_) {
    const auto spec = recorded_spec(state_);
    if (!spec) return complain(spec.error().message);
    if (*spec && (*spec)->output == output_) apart = {};
  }
  if (apart) apart = own_->refuse_foreign();
  if (!apart) return complain(apart.error().message);
  return {};
}

RunCommand::Over RunCommand::find_inputs() {
  LeftOut left_out;
  auto inputs = found_inputs(options_.job.inputs, output_, &left_out);
  if (!inputs) return complain(inputs.error().message);
  if (!options_.quiet) left_out.tell();
  if (auto apart = own_->refuse_inputs(*inputs); !apart) return complain(apart.error().message);
  if (options_.continues && !reads_standard_input(options_.job.inputs))
    return complain("--continue: expected standard input (-) among the inputs, got none");
  if (reads_standard_input(options_.job.inputs)) {
    auto standard = standard_input();
    if (!standard) return complain(standard.error().message, exit_code_of_disk(standard.error()));
    for (InputSpec& input : *inputs)
      if (input.path == "-") input = *standard;
  }
  looked_ = spec_;
  looked_.inputs = *inputs;
  if (standard_)
    for (InputSpec& input : looked_.inputs)
      if (input.path == standard_->input().path) input.path = standard_->readable_path();
  inputs_ = std::move(*inputs);
  spec_.output = output_;
  return name_inputs();
}

// In the specification; more than it should hold as a list.
RunCommand::Over RunCommand::name_inputs() {
  ListedInputs many = listed(inputs_, fs::path{state_} / "inputs.jsonl");
  spec_.inputs = std::move(many.inputs);
  input_list_ = std::move(many.list);
  return {};
}

// A job whose standard input has gone with its success needs none to say so.
Result<InputSpec> RunCommand::standard_input() {
  if (options_.continues) GRISTMILL_TRY(StandardInput::refuse_end(state_));
  if (known_ && !options_.restart) {
    auto recalled = StandardInput::recalled(state_);
    GRISTMILL_TRY(recalled);
    consumed_ = recalled->has_value();
    if (consumed_) return std::move(**recalled);
  }
  const bool may_go_on = options_.job.inputs.size() == 1 && !spec_.policy.strict;
  auto spooled = StandardInput::spool(
      state_, {options_.restart, options_.continues,
               may_go_on ? StandardInput::End::may_come_later : StandardInput::End::awaited});
  GRISTMILL_TRY(spooled);
  standard_.emplace(std::move(*spooled));
  return standard_->input();
}

RunCommand::Over RunCommand::refuse_early() {
  if (!consumed_) {
    const auto fields = check_fields(looked_);
    if (!fields) return complain(fields.error().message);
    if (!fields->refusal.empty()) return complain(fields->refusal);
    if (!options_.quiet) say(fields->note);
  }
  for (const std::string& fault : faults_of(spec_)) return complain(fault);
  if (const std::string why = why_not_served(spec_, models_of(pools_)); !why.empty())
    return complain(why);
  if (const auto over = refuse_unpriced()) return over;
  if (known_ && !options_.restart) return {};
  if (const auto over = refuse_worthless()) return over;
  const auto over = check_new_job();
  return over ? over : refuse_unpriced();
}

// An earlier result, which was paid for, goes only for an input that can be read to its end and has
// something to be called for.
RunCommand::Over RunCommand::refuse_worthless() {
  std::error_code error;
  if (!options_.restart || !(known_ || fs::exists(output_, error))) return {};
  if (standard_ && standard_->goes_on()) return {}; // nobody knows what comes
  const auto why = why_nothing_runs(looked_);
  if (!why) return complain(why.error().message);
  if (why->empty()) return {};
  return complain(fmt::format("{}; --restart: expected an input of which something can be called, "
                              "got none, so that what the earlier run left stays",
                              *why));
}

// The first item stands for all: others whose models have no price pause the job when they come.
RunCommand::Over RunCommand::refuse_unpriced() {
  if (!spec_.limits.budget || consumed_) return {};
  JobSpec priced = spec_;
  if (models_of_all(priced).empty() && priced.policy.default_model.empty()) {
    auto named = first_named_model(looked_);
    if (!named) return complain(named.error().message);
    priced.policy.default_model = std::move(*named);
  }
  if (const std::string why = why_unpriced(priced, pools_); !why.empty()) return complain(why);
  return {};
}

// Under --strict the whole input is read, so that nothing is paid for one that would fail in the
// middle; items that name no model get the only one that the endpoints serve.
RunCommand::Over RunCommand::check_new_job() {
  if (auto there = check_keys(spec_, pools_); !there) return complain(there.error().message);
  if (auto whole = check_packing(looked_.inputs); !whole) return complain(whole.error().message);
  if (spec_.policy.strict) {
    const auto bad = first_bad_line(looked_);
    if (!bad) return complain(bad.error().message);
    if (*bad)
      return complain(fmt::format("{}: {}", (*bad)->source, (*bad)->sentence), exit_bad_input);
  }
  const auto needed = may_need_model(looked_);
  if (!needed) return complain(needed.error().message);
  if (!*needed) return {};
  auto model = awaited_model(looked_, options_.ca_file, [this](const std::string& why) {
    if (!options_.quiet) say(fmt::format("gristmill run: waits for its model: {}\n", why));
  });
  if (!model)
    return complain(model.error().message,
                    model.error().code == ErrorCode::unavailable ? exit_stopped : exit_usage);
  spec_.policy.default_model = std::move(*model);
  return {};
}

// What the inputs hold is noted when a job begins, not each time that it goes on.
RunCommand::Over RunCommand::take_digests() {
  constexpr std::uint64_t digested_bytes_max = std::uint64_t{8} << 30; // some 10 s from a fast disk
  coordinator::InputDigests digests{digested_bytes_max};
  for (InputSpec& input : inputs_)
    if (auto taken = input.grows ? Result<>{} : digests.take(input); !taken)
      return complain(taken.error().message);
  return name_inputs();
}

// Only now that nothing is wrong with the new job is the old one let go.
RunCommand::Over RunCommand::make_way() {
  if (!streams_) {
    auto lock = OutputLock::take(output_);
    if (!lock) return complain(lock.error().message);
    lock_.emplace(std::move(*lock));
  }
  if (options_.restart)
    if (auto removed = own_->remove(); !removed) return complain(removed.error().message);
  if (standard_)
    if (auto kept = standard_->keep(); !kept)
      return complain(kept.error().message, exit_code_of_disk(kept.error()));
  return known_ && !options_.restart ? Over{} : take_digests();
}

// Of a job that is over: its result is there, or is made from what its lines are kept in.
RunCommand::Over RunCommand::write_again(coordinator::CoordinatorHost& coordinator) {
  const journal::RecoveredJob& job = coordinator.recovered().jobs.front();
  std::error_code ignored;
  const bool emptied = fs::exists(output_, ignored) && fs::file_size(output_, ignored) == 0;
  const bool lost = !fs::exists(output_, ignored) || (emptied && job.counts.terminal() > 0);
  if (streams_) return {};
  if (!lost) {
    if (!options_.quiet) say(said_of_change(output_));
    return {};
  }
  if (auto merged = merge_again(coordinator, job, output_); !merged)
    return complain(merged.error().message, exit_stopped);
  if (!options_.quiet)
    say(fmt::format("{} was {}: it is written again, from {}\n", output_,
                    emptied ? "empty" : "not there", state_));
  return {};
}

int RunCommand::begin() {
  Interruption interruption; // not before: reading and looking end at once with Ctrl-C
  auto cluster = LocalCluster::open(local_options());
  if (!cluster) return complain(cluster.error().message);
  auto& coordinator = (*cluster)->coordinator();
  auto earlier = look_back(coordinator.recovered(), spec_, inputs_, options_,
                           streams_ ? "standard output" : output_);
  if (!earlier) return complain(earlier.error().message);
  if (standard_ && !earlier->over)
    if (auto settled = standard_->settle(); !settled)
      return complain(settled.error().message, exit_code_of_disk(settled.error()));
  if (earlier->reopen)
    for (const InputSpec& input : earlier->reopen->spec->inputs) remembers_ |= input.grows;
  if (auto opened = stream_.open(state_); !opened) return complain(opened.error().message);
  if (earlier->over)
    if (const auto over = write_again(coordinator)) return *over;
  if (earlier->over)
    return stream_.finish(
        **cluster, JobId{1}, [&] { return interruption.came(); }, ended(*earlier->over));
  if (earlier->reopen) {
    if (auto there = check_keys(spec_, pools_); !there) return complain(there.error().message);
  } else if (known_ && !options_.restart) { // it died before it had a job
    if (const auto over = check_new_job()) return *over;
    if (const auto over = take_digests()) return *over;
  }
  if (auto started = (*cluster)->start(); !started) return complain(started.error().message);
  if (!earlier->reopen)
    if (auto written = write_list(spec_.inputs.front().path, input_list_); !written)
      return complain(written.error().message);
  const auto answer = earlier->reopen ? coordinator.ask_and_wait(std::move(*earlier->reopen))
                                      : coordinator.ask_and_wait(wiring::SubmitJob{spec_});
  if (answer.error)
    return complain(answer.error->message, (*cluster)->fatal() ? exit_internal : exit_usage);
  const JobId job = answer.jobs.front().id;
  if (growing_)
    if (auto begun = growing_->start([&] { (*cluster)->coordinator().input_grew(job); }); !begun)
      return complain(begun.error().message, exit_stopped);
  const int code = follow(**cluster, job, interruption, options_, output_, stream_);
  if (growing_) growing_->stop();
  return ended(code);
}

LocalOptions RunCommand::local_options() {
  LocalOptions local{
      state_, options_.workers, options_.concurrency,     from_seconds(options_.drain_timeout_s),
      pools_, options_.ca_file, options_.cache.directory, *options_.cache.bytes_max()};
  if (!standard_ || !standard_->goes_on()) return local;
  growing_ = std::make_unique<StandardStream>(standard_->input().path, standard_->spooled_bytes(),
                                              standard_->take_rest());
  local.growth = [growing = growing_.get()](const std::string&) { return growing->growth(); };
  return local;
}

// Items that failed may be run again, and a limit may grow; a job that has done everything is over
// for good, and its standard input with it.
int RunCommand::ended(int code) {
  if (code != exit_ok || !standard_ || spec_.limits.items != 0) return code;
  if (standard_->input().grows || remembers_)
    if (auto noted = StandardInput::remember(state_); !noted)
      return complain(noted.error().message, exit_stopped);
  standard_->remove();
  return code;
}

} // namespace

int complain(const std::string& sentence, int code) {
  say("gristmill run: " + sentence + "\n");
  return code;
}

void add_run(CLI::App& app, std::vector<std::string> typed, int& exit_code) {
  auto* command = app.add_subcommand("run", "run a corpus through a model on this machine");
  auto options = std::make_shared<RunOptions>();
  options->typed = std::move(typed);
  options->job.said.policy.patience_s = 3'600;
  options->job.add_to(*command, "[$OPENAI_BASE_URL, else https://api.openai.com/v1]");
  command->add_option(
      "-o,--output", options->output,
      "result: JSON lines, compressed if it ends with .gz or .zst; .npy = a NumPy "
      "array with --task embed; - = standard output as items finish, with --state to "
      "resume [INPUT.results.jsonl]");
  command->add_option("--state", options->state,
                      "state directory [OUTPUT.state; with -o - a temporary one, not resumable]");
  options->cache.add_to(*command);
  command->add_option("--ca-file", options->ca_file,
                      "PEM file with certificate authorities to trust besides the system's");
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
      ->add_flag("--continue", options->continues,
                 "standard input does not begin again with what the earlier run was given: it goes "
                 "on behind that")
      ->excludes(restart);
  command
      ->add_option("--retry-failed", options->retry_failed,
                   "run the failed items of a finished job again; =CLASS,...: only of these "
                   "classes")
      ->expected(0, 1)
      ->default_str("")
      ->excludes(restart);
  command->add_flag("--json", options->json, "print the summary as JSON on standard output");
  command->add_flag("-q,--quiet", options->quiet, "print errors only");
  command->add_flag("-v,--verbose", options->verbose, "log what happens inside");
  command
      ->add_option("--log-format", options->log_format,
                   "text, or json: with -v, each event of the log as one line of JSON")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->add_flag("--no-progress", options->no_progress, "no progress line");
  command->footer(
      "Example:\n"
      "  gristmill run requests.jsonl --endpoint http://localhost:8000/v1 -o answers.jsonl\n"
      "  gristmill run requests.jsonl --dry-run        # counts and estimates, calls nothing\n"
      "The same command again resumes; a finished job says so and does nothing.");
  command->callback([options, command, &exit_code] {
    auto config = lay_config(options->job.config, *command);
    exit_code = config ? RunCommand{std::move(*options), std::move(config->pools)}.run()
                       : complain(config.error().message);
  });
}

} // namespace gristmill::cli
