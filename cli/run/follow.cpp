#include "cli/run/follow.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/terminal/closing_lines.hpp"
#include "cli/terminal/money.hpp"
#include "cli/terminal/progress.hpp"
#include "cli/terminal/text.hpp"
#include "cli/text_file.hpp"
#include "coordinator/result/merge_files.hpp"
#include "protocol/job/output_form.hpp"

#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <functional>
#include <thread>

namespace gristmill::cli {
namespace {

int leave_at_once(int signal, StreamedOutput& stream) {
  say(fmt::format("\ngristmill run: leaving at once; {}\n", stream.afterwards()));
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

// The exit code, which is `code` if all could be said.
int print_end(const RunOptions& options, const wiring::JobView& job, const std::string& output,
              int code) {
  if (options.json) {
    const auto summary = text_of_file("--json", output + ".summary.json");
    if (!summary) return complain(summary.error().message, exit_stopped);
    gristmill::print_json(*summary);
  } else if (!options.quiet) {
    if (job.counts.total == 0)
      say(job.counts.preprocessed.dropped() > 0
              ? "no record is an item: all are left out\n"
              : "the input has no items: only blank lines, or a header without rows\n");
    const std::string cached =
        job.counts.cached == 0 ? "" : fmt::format("{} cached, ", job.counts.cached);
    say(fmt::format("{}: {} items, {} answered, {} failed, {}{} calls, {} tokens in, {} out{}\n"
                    "{}",
                    name_of(job.state), job.counts.terminal(), job.counts.completed,
                    job.counts.failed, cached, job.counts.calls, job.counts.prompt_tokens,
                    job.counts.completion_tokens, and_cost_of(job.counts.cost, job.budget),
                    places_of(output)));
    if (const auto read = sentence_of(job.counts.total, job.counts.preprocessed); !read.empty())
      say(fmt::format("read    {}\n", read));
    bool mend = false;
    const std::string classes = classes_to_retry(job, mend);
    const bool kept = output_form(output) != OutputForm::stream || !options.state.empty();
    const bool again = kept && job.counts.failed > 0;
    const TypedRun typed{options.typed};
    if (again && is_of_input(job)) {
      say(closing_lines_of_input(job, typed.anew()));
      return code;
    }
    say(closing_lines(job, again ? typed.retrying(classes) : "", mend && again));
  }
  return code;
}

// Their farewells are in the journal then, or on the way: a resumed run need not wonder what they
// did.
bool workers_left(LocalCluster& cluster) {
  return cluster.coordinator().ask_and_wait(wiring::ListWorkers{}).workers.empty();
}

class Follower {
public:
  Follower(LocalCluster& cluster, JobId job, Interruption& interruption, const RunOptions& options,
           const std::string& output, StreamedOutput& stream)
      : cluster_{cluster}, job_{job}, interruption_{interruption}, options_{options},
        output_{output}, stream_{stream}, progress_{options.quiet || options.no_progress ||
                                                            options.json
                                                        ? ProgressMode::none
                                                        : progress_mode_of_stderr()} {}

  int run() {
    for (;;)
      if (const auto over = step()) return *over;
  }

private:
  using Over = std::optional<int>; // the exit code

  Over step();
  int broken(const Error& fatal);
  int ended(const wiring::JobView& view, int came);
  void say_farewell();
  void say_next(const wiring::JobView& view);
  Over print();
  void interrupted(const wiring::JobView& view, int signal);
  Over left(const wiring::JobView& view);
  std::function<int()> later_signal() {
    return [this] { return interruption_.came(); };
  }

  LocalCluster& cluster_;
  JobId job_;
  Interruption& interruption_;
  const RunOptions& options_;
  const std::string& output_;
  StreamedOutput& stream_;
  Progress progress_;
  int signal_ = 0;                        // that ends the command; SIGPIPE: nobody reads any more
  std::optional<wiring::JobView> paused_; // as the job was then
};

Follower::Over Follower::step() {
  const int came = interruption_.wait(std::chrono::milliseconds{signal_ != 0 ? 20 : 50});
  if (came != 0 && signal_ != 0) leave_at_once(came, stream_);
  if (const Error* fatal = cluster_.fatal()) return broken(*fatal);
  const wiring::Answer answer = cluster_.coordinator().ask_and_wait(wiring::ShowJob{job_});
  if (answer.error) return complain(answer.error->message, exit_internal);
  const wiring::JobView& view = answer.jobs.front();
  progress_.show(view);
  if (is_over(view.state)) return ended(view, came);
  if (const auto over = print()) return over;
  if (view.state == JobState::paused && view.reason != JobReason::disk && !paused_) {
    // Calls in flight end and are recorded, as they are after Ctrl-C.
    paused_ = view;
    cluster_.drain();
  }
  if (came != 0 && !paused_) interrupted(view, came);
  return left(view);
}

int Follower::broken(const Error& fatal) {
  progress_.clear();
  return complain(fmt::format("{}; {}", fatal.message, stream_.afterwards()),
                  fatal.code == ErrorCode::disk_full || fatal.code == ErrorCode::used_up
                      ? exit_stopped
                      : exit_internal);
}

// So that a later run of the job need not wonder what workers that said no farewell have done, and
// hold money for it.
void Follower::say_farewell() {
  constexpr auto most = std::chrono::seconds{2};
  constexpr auto look_every = std::chrono::milliseconds{1};
  const auto until = std::chrono::steady_clock::now() + most;
  cluster_.drain();
  while (!(cluster_.drained() && workers_left(cluster_)) && cluster_.fatal() == nullptr &&
         std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(look_every);
}

int Follower::ended(const wiring::JobView& view, int came) {
  progress_.clear();
  say_farewell();
  const int ended = exit_code_of(view.state, view.reason, view.counts);
  const int code =
      stream_.finish(cluster_, job_, later_signal(), ended, came != 0 ? came : signal_);
  if (view.state == JobState::failed) {
    complain(view.detail, ended);
    say_next(view);
    return ended;
  }
  return print_end(options_, view, output_, code);
}

// Of a job that stopped: what it has met, and the command that goes on. With another budget that
// would be another command.
void Follower::say_next(const wiring::JobView& view) {
  if (options_.quiet || options_.json || stream_.is_temporary()) return;
  const TypedRun typed{options_.typed};
  const bool same = !paused_ || paused_->reason != JobReason::budget;
  // What was wrong with the input before the first call is mended in the input, which is another
  // one then; nothing is lost with it.
  const bool of_input = view.reason == JobReason::input && view.counts.attempts == 0;
  say(closing_lines(view, of_input ? typed.anew() : same ? typed.again() : ""));
}

Follower::Over Follower::print() {
  const auto printed = stream_.print(cluster_, job_);
  if (!printed) return complain(printed.error().message, exit_stopped);
  if (*printed != LinePrinter::Printed::closed || signal_ != 0) return {};
  progress_.clear();
  if (stream_.is_temporary()) return complain(stream_.closed(), exit_stopped);
  signal_ = SIGPIPE;
  cluster_.drain();
  return {};
}

void Follower::interrupted(const wiring::JobView& view, int signal) {
  signal_ = signal;
  progress_.clear();
  say(fmt::format("stopping: waiting for {} calls in flight, at most {} s; once more to "
                  "leave at once\n",
                  view.counts.in_flight, options_.drain_timeout_s));
  cluster_.drain();
}

// The end before the job's, when every worker has said its farewell.
Follower::Over Follower::left(const wiring::JobView& view) {
  if ((!paused_ && signal_ == 0) || !cluster_.drained() || !workers_left(cluster_)) return {};
  progress_.clear();
  if (paused_) {
    complain(fmt::format("{}; {}, --restart begins anew", paused_->detail,
                         paused_->reason == JobReason::budget
                             ? "finished items are kept: the same command with a higher "
                               "--budget-usd goes on"
                             : "the same command resumes"),
             exit_stopped);
    say_next(view);
    return exit_stopped;
  }
  if (signal_ == SIGPIPE) return complain(stream_.closed(), exit_stopped);
  const int code = stream_.finish(cluster_, job_, later_signal(), 128 + signal_, signal_);
  say(fmt::format("stopped after {} items; {}\n", view.counts.terminal(), stream_.afterwards()));
  return code;
}

} // namespace

Interruption::Interruption() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

int Interruption::wait(std::chrono::milliseconds at_most) {
  const timespec time{at_most.count() / 1'000, (at_most.count() % 1'000) * 1'000'000};
  const int signal = sigtimedwait(&signals_, nullptr, &time);
  return signal > 0 ? signal : 0;
}

int follow(LocalCluster& cluster, JobId job, Interruption& interruption, const RunOptions& options,
           const std::string& output, StreamedOutput& stream) {
  return Follower{cluster, job, interruption, options, output, stream}.run();
}

} // namespace gristmill::cli
