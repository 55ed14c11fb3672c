#include "cli/run/merge_again.hpp"

#include "actors/merger/merger.hpp"

namespace gristmill::cli {

Result<> merge_again(coordinator::CoordinatorHost& host, const journal::RecoveredJob& job,
                     const std::string& output) {
  auto spec = job_spec_from_json(job.spec, Unknown::skipped);
  GRISTMILL_TRY(spec);
  spec->output = output;
  auto files = host.open_merge(job.job, *spec);
  GRISTMILL_TRY(files);
  merger::MergeTask task;
  task.job = job.job;
  task.spec = std::move(*spec);
  task.counts = job.counts;
  task.counts.total = job.counts.terminal();
  task.counts.total_known = true;
  task.created_at = job.created_at;
  task.now = job.ended_at;
  task.cancelled = job.state == JobState::cancelled;
  merger::Merger merger{std::move(task), **files};
  for (;;) {
    const merger::MergeStep step = merger.step();
    if (!step.failure.empty()) return fail(step.code, step.failure);
    if (step.done) return {};
  }
}

} // namespace gristmill::cli
