#include "actors/jobs/job_view.hpp"

namespace gristmill::jobs {

JobView view_of(const JobEntry& job, const JobStanding& standing, const std::string& full_disk,
                std::string output, const Moment& moment) {
  JobView view{job.id, job.state, job.reason, job.detail, job.counts};
  view.created_at = job.created_at;
  view.ended_at = job.ended_at;
  view.output = std::move(output);
  view.budget = job.spec.limits.budget;
  view.weight = job.spec.share.weight;
  view.priority = job.spec.share.priority;
  view.deadline = static_cast<std::int64_t>(job.spec.share.deadline);
  view.counts.in_flight = standing.in_flight;
  view.errors = job.errors;
  if (job.spec.open) {
    view.is_closed = job.appends.is_closed() || is_over(job.state);
    view.appends = job.appends.count();
  }
  if (job.ends_from) { // nobody hears of an end that a power cut could take back
    view.state = *job.ends_from;
    view.reason = JobReason::none;
    view.detail.clear();
    view.ended_at = 0;
  }
  if (is_over(job.state)) return view;
  view.urgent = standing.urgent;
  if (WaitReason reason = why_waiting(job, full_disk, job.waiting, standing.reason);
      is_waiting(reason.kind, view.counts.in_flight)) {
    view.waiting_for = reason.kind;
    view.waiting_at = reason.endpoint;
    Explanation why = explained(job, std::move(reason), standing.at_endpoint, moment);
    view.why_waiting = std::move(why.sentence);
    view.waiting_s = why.since_s;
  }
  if (!full_disk.empty() && job.state != JobState::paused) {
    view.state = JobState::paused;
    view.reason = JobReason::disk;
    view.detail = full_disk + "; the job goes on by itself";
  }
  return view;
}

} // namespace gristmill::jobs
