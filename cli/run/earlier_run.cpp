#include "cli/run/earlier_run.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/run/same_inputs.hpp"
#include "coordinator/journal/check.hpp"

#include <fmt/format.h>

namespace gristmill::cli {

namespace {

std::string limit_of(std::uint64_t limit) {
  return limit == 0 ? "all items" : std::to_string(limit);
}

} // namespace

Result<std::optional<JobSpec>> recorded_spec(const std::string& state) {
  auto journal = coordinator::JournalCheck::open(state);
  GRISTMILL_TRY(journal);
  const auto recovered = journal->recovered();
  GRISTMILL_TRY(recovered);
  if (recovered->jobs.empty()) return std::nullopt;
  return job_spec_from_json(recovered->jobs.front().spec, Unknown::skipped);
}

Result<Earlier> look_back(const journal::Recovered& recovered, JobSpec spec,
                          const std::vector<InputSpec>& inputs, const RunOptions& options,
                          const std::string& output) {
  if (recovered.jobs.empty()) {
    if (options.retry_failed)
      return fail(ErrorCode::usage, fmt::format("--retry-failed: expected a finished job whose "
                                                "state is beside {}, there is none",
                                                output));
    return Earlier{};
  }
  const journal::RecoveredJob& job = recovered.jobs.front();
  auto before = job_spec_from_json(job.spec, Unknown::skipped);
  GRISTMILL_TRY(before);
  auto same = same_inputs(before->inputs, inputs);
  if (!same)
    return fail(same.error().code,
                fmt::format("{} (of the job whose state is beside {}); give the same to resume it, "
                            "or --restart to begin anew",
                            same.error().message, output));
  before->inputs = spec.inputs = std::move(*same);
  const std::string differs = identity_difference(*before, spec);
  if (!differs.empty())
    return fail(
        ErrorCode::usage,
        fmt::format("{} differs from that of the job whose state is beside {}; give the same "
                    "to resume it, or --restart to begin anew",
                    differs, output));
  const bool grows = before->limits.items != 0 &&
                     (spec.limits.items == 0 || spec.limits.items > before->limits.items);
  if (spec.limits.items != before->limits.items && !grows)
    return fail(
        ErrorCode::usage,
        fmt::format("--limit may only grow: the job began with {}, got {}; give --restart to "
                    "begin anew",
                    limit_of(before->limits.items), limit_of(spec.limits.items)));
  Earlier earlier;
  const bool retries = options.retry_failed && job.counts.failed > 0;
  if ((job.state == JobState::finished || job.state == JobState::cancelled) && !grows && !retries) {
    say(fmt::format("this job is {}: {} items, {} failed; the result is {} ({})\n",
                    name_of(job.state), job.counts.terminal(), job.counts.failed, output,
                    job.counts.failed > 0 ? "--retry-failed runs the failed ones again, "
                                            "--restart all"
                                          : "--restart runs it anew"));
    earlier.over = exit_code_of(job.state, job.reason, job.counts);
    return earlier;
  }
  // Today's budgets, timeouts and endpoints hold, but the model that was found at the beginning; a
  // job that was stopped is tried again.
  earlier.reopen = wiring::ReopenJob{job.job, spec, {}};
  earlier.reopen->spec->policy.default_model = before->policy.default_model;
  if (options.retry_failed) earlier.reopen->retry = *outcome_classes_named(*options.retry_failed);
  return earlier;
}

} // namespace gristmill::cli
