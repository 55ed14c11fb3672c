#include "actors/jobs/job_desk.hpp"
#include "protocol/rules/job_faults.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill::coordinator {

void JobDesk::recovered(JobEntry entry) {
  last_ = std::max(last_, entry.id.value);
  jobs_[entry.id] = std::move(entry);
}

void JobDesk::forget(JobId job) {
  last_ = std::max(last_, job.value); // its number stays taken
  jobs_.erase(job);
}

Result<journal::JobChange> JobDesk::submit(JobSpec spec, std::int64_t unix_now) {
  const std::vector<std::string> faults = faults_of(spec);
  if (!faults.empty()) return fail(ErrorCode::usage, fmt::format("{}", fmt::join(faults, "; ")));
  JobEntry entry;
  entry.id = JobId{++last_};
  entry.directory = flat_ ? "" : fmt::format("jobs/{}", entry.id.value);
  entry.created_at = unix_now;
  journal::JobChange change{entry.id, to_json(spec), entry.directory, entry.state, JobReason::none,
                            "",       unix_now};
  entry.spec = std::move(spec);
  jobs_[entry.id] = std::move(entry);
  return change;
}

std::optional<journal::JobChange> JobDesk::change(JobId id, StateChange to, std::int64_t unix_now) {
  JobEntry* job = find(id);
  if (job == nullptr || is_over(job->state)) return std::nullopt;
  // One that paused by itself may go on by itself; one that a user paused may not.
  const bool asked_for = to.state == JobState::paused && to.reason == JobReason::user &&
                         job->reason != JobReason::user;
  if (job->state == to.state && !asked_for) return std::nullopt;
  job->state = to.state;
  job->reason = to.reason;
  job->detail = std::move(to.sentence);
  job->waits_since = 0;
  if (is_over(to.state)) job->ended_at = unix_now;
  return journal::JobChange{id, "", "", job->state, job->reason, job->detail, unix_now};
}

journal::JobChange JobDesk::waits(JobEntry& job, std::int64_t since, std::string sentence) {
  job.reason = since == 0 ? JobReason::none : JobReason::endpoint;
  job.detail = std::move(sentence);
  job.waits_since = since;
  job.alarmed = false;
  return journal::JobChange{job.id, "", "", job.state, job.reason, job.detail, since};
}

journal::JobChange JobDesk::reopen(JobEntry& job, std::optional<JobSpec> spec,
                                   std::int64_t unix_now) {
  // One that ran and waited when its process ended goes on waiting.
  if (job.state != JobState::running || job.waits_since == 0) {
    job.reason = JobReason::none;
    job.detail.clear();
    job.waits_since = 0;
  }
  job.state = JobState::running;
  job.ended_at = 0;
  journal::JobChange change{job.id,
                            "",
                            "",
                            job.state,
                            job.reason,
                            job.detail,
                            job.waits_since != 0 ? job.waits_since : unix_now};
  if (spec) {
    job.spec = std::move(*spec);
    change.spec = to_json(job.spec);
    change.directory = job.directory;
  }
  return change;
}

JobEntry* JobDesk::find(JobId id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

const JobEntry* JobDesk::find(JobId id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

} // namespace gristmill::coordinator
