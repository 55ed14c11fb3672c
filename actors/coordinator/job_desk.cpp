#include "actors/coordinator/job_desk.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill::coordinator {

void JobDesk::recovered(JobEntry entry) {
  last_ = std::max(last_, entry.id.value);
  jobs_[entry.id] = std::move(entry);
}

Result<journal::JobChange> JobDesk::submit(JobSpec spec, std::int64_t unix_now) {
  const std::vector<std::string> faults = faults_of(spec);
  if (!faults.empty()) return fail(ErrorCode::usage, fmt::format("{}", fmt::join(faults, "; ")));
  JobEntry entry;
  entry.id = JobId{++last_};
  entry.directory = flat_ ? "" : fmt::format("jobs/{}", entry.id.value);
  entry.created_at = unix_now;
  journal::JobChange change{entry.id, to_json(spec), entry.directory, entry.state, "", unix_now};
  entry.spec = std::move(spec);
  jobs_[entry.id] = std::move(entry);
  return change;
}

std::optional<journal::JobChange> JobDesk::change(JobId id, JobState state, std::string detail,
                                                  std::int64_t unix_now) {
  JobEntry* job = find(id);
  if (job == nullptr || is_over(job->state) || job->state == state) return std::nullopt;
  job->state = state;
  job->detail = std::move(detail);
  if (is_over(state)) job->ended_at = unix_now;
  return journal::JobChange{id, "", "", state, job->detail, unix_now};
}

JobEntry* JobDesk::find(JobId id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

} // namespace gristmill::coordinator
