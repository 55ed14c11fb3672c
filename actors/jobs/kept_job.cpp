#include "actors/jobs/kept_job.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/rules/priced.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::jobs {
namespace {

bool is_wanted(const std::vector<OutcomeClass>& classes, OutcomeClass cls) {
  return classes.empty() || std::find(classes.begin(), classes.end(), cls) != classes.end();
}

// As they were noted. What ended items after that, or before a release that noted it, is known by
// its lines: its number and its class.
SharedErrors errors_of(const journal::RecoveredJob& job) {
  ErrorList errors = job.errors;
  for (const auto& [cls, items] : job.failed) {
    std::uint64_t noted = 0, failed = 0;
    items.for_each([&](std::uint64_t) { ++failed; });
    for (const CountedError& error : job.errors) noted += error.cls == cls ? error.final : 0;
    if (failed <= noted) continue;
    CountedError rest;
    rest.cls = cls;
    rest.count = rest.final = failed - noted;
    errors.push_back(std::move(rest));
  }
  sort_by_count(errors);
  return std::make_shared<const ErrorList>(std::move(errors));
}

// Takes the failed items of these classes out of the terminal ones.
std::vector<journal::Reopened> reopened_of(journal::RecoveredJob& job,
                                           const std::vector<OutcomeClass>& classes) {
  std::vector<journal::Reopened> reopened;
  for (const auto& [cls, items] : job.failed)
    if (is_wanted(classes, cls))
      items.for_each([&](std::uint64_t item) { reopened.push_back({job.job, item}); });
  std::sort(reopened.begin(), reopened.end(),
            [](const auto& a, const auto& b) { return a.item < b.item; });
  for (const auto& again : reopened) {
    job.terminal.erase(again.item);
    if (const auto parts = job.parts.find(again.item); parts != job.parts.end())
      parts->second.failed.clear(); // those that were answered stay so
  }
  if (mutated("retry_runs_completed_items")) job.terminal = {};
  job.counts.failed -= reopened.size();
  return reopened;
}

std::string why_nothing_to_run(const JobEntry& job, const ReopenJob& wanted) {
  if (!wanted.retry)
    return fmt::format("{} is {}: there is nothing to go on with; `gristmill retry` runs failed "
                       "items again",
                       to_string(job.id), name_of(job.state));
  return fmt::format("{} has no failed item of {}: there is nothing to run again",
                     to_string(job.id), wanted.retry->empty() ? "any class" : "these classes");
}

} // namespace

JobEntry entry_of(const journal::RecoveredJob& job) {
  JobEntry entry;
  entry.id = job.job;
  entry.directory = job.directory;
  entry.state = job.state;
  entry.reason = job.reason;
  entry.detail = job.detail;
  entry.counts = job.counts;
  entry.created_at = job.created_at;
  if (is_over(job.state)) entry.ended_at = job.ended_at;
  if (job.state == JobState::running) entry.waits_since = job.ended_at;
  if (auto spec = job_spec_from_json(job.spec, Unknown::skipped)) {
    entry.spec = std::move(*spec);
  } else {
    entry.state = JobState::failed;
    entry.detail = spec.error().message;
  }
  entry.errors = errors_of(job);
  entry.appends.recovered(job.appends, job.is_closed);
  if (is_over(entry.state)) {
    entry.counts.total = entry.counts.terminal();
    entry.counts.total_known = true;
  }
  return entry;
}

Result<RunAgain> run_again(const JobEntry& job, KeptJob kept, const ReopenJob& wanted) {
  RunAgain again{std::move(kept), {}, job.errors ? *job.errors : ErrorList{}};
  journal::RecoveredJob& content = again.kept.content;
  if (wanted.retry) again.reopened = reopened_of(content, *wanted.retry);
  const bool grows = wanted.spec && wanted.spec->limits.items != job.spec.limits.items;
  if (job.is_complete() && again.reopened.empty() && !grows)
    return fail(ErrorCode::conflict, why_nothing_to_run(job, wanted));
  // Nothing was in flight when the job ended, and where its items stand is not known any more.
  if (!again.reopened.empty()) {
    content.low = {};
    content.mark = 0;
  }
  content.counts.total = content.counts.terminal() + again.reopened.size();
  if (wanted.retry) take_back(again.errors, *wanted.retry);
  return again;
}

Result<std::optional<JobSpec>> spec_to_run(const JobEntry& job, const ReopenJob& wanted,
                                           const std::vector<PoolSpec>& pools) {
  std::optional<JobSpec> spec;
  if (!job.open) spec = wanted.spec; // an open job keeps what it has but its budget
  if (wanted.budget) {
    if (!spec) spec = job.spec;
    spec->limits.budget = *wanted.budget;
  }
  if (!spec || !spec->limits.budget) return spec;
  // What its calls in flight may cost was not reserved.
  if (job.open && !job.spec.limits.budget)
    return fail(ErrorCode::usage,
                fmt::format("expected a job that was submitted with --budget-usd, {} was not; "
                            "cancel it and submit the rest with one",
                            to_string(job.id)));
  if (std::string why = why_unpriced(*spec, pools); !why.empty())
    return fail(ErrorCode::usage, std::move(why));
  return spec;
}

} // namespace gristmill::jobs
