#include "actors/jobs/job_book.hpp"

#include "actors/jobs/explanation.hpp"
#include "protocol/rules/job_faults.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill::jobs {

void JobBook::recovered(JobEntry entry) {
  last_ = std::max(last_, entry.id.value);
  jobs_[entry.id] = std::move(entry);
}

void JobBook::forget(JobId job) {
  last_ = std::max(last_, job.value); // its number stays taken
  jobs_.erase(job);
}

Result<journal::JobChange> JobBook::submit(JobSpec spec, std::int64_t unix_now) {
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

std::optional<journal::JobChange> JobBook::change(JobId id, StateChange to, std::int64_t unix_now) {
  JobEntry* job = find(id);
  if (job == nullptr || is_over(job->state)) return std::nullopt;
  // One that paused by itself may go on by itself; one that a user paused may not.
  const bool asked_for = to.state == JobState::paused && to.reason == JobReason::user &&
                         job->reason != JobReason::user;
  if (job->state == to.state && !asked_for) return std::nullopt;
  if (is_over(to.state)) job->ends_from = job->state;
  job->state = to.state;
  job->reason = to.reason;
  job->detail = std::move(to.sentence);
  job->waits_since = 0;
  if (is_over(to.state)) job->ended_at = unix_now;
  return journal::JobChange{id, "", "", job->state, job->reason, job->detail, unix_now};
}

// Since when it waits is journalled once, so that no restart makes it wait anew.
std::optional<journal::JobChange> JobBook::unanswered(JobId id, std::optional<Time> since,
                                                      const Moment& moment) {
  JobEntry& job = jobs_.at(id);
  if (job.state != JobState::running) return std::nullopt;
  const bool begins = since && job.waits_since == 0 && moment.now - *since >= journalled_after;
  const bool ends = !since && job.waits_since != 0;
  if (!begins && !ends) return std::nullopt;
  if (begins) {
    job.waits_since = moment.unix_seconds - (moment.now - *since) / std::chrono::seconds{1};
    job.reason = JobReason::endpoint;
    job.detail = explained(id, job.waiting, moment.now).sentence;
  } else {
    job.waits_since = 0;
    job.reason = JobReason::none;
    job.detail.clear();
  }
  return journal::JobChange{id, "", "", job.state, job.reason, job.detail, job.waits_since};
}

journal::JobChange JobBook::reopen(JobId id, std::optional<JobSpec> spec, std::int64_t unix_now) {
  JobEntry& job = jobs_.at(id);
  // One that ran and waited when its process ended goes on waiting.
  if (job.state != JobState::running || job.waits_since == 0) {
    job.reason = JobReason::none;
    job.detail.clear();
    job.waits_since = 0;
  }
  job.state = JobState::running;
  job.ended_at = 0;
  job.ends_from.reset();
  const std::int64_t at = job.waits_since != 0 ? job.waits_since : unix_now;
  journal::JobChange change{id, "", "", job.state, job.reason, job.detail, at};
  if (spec) {
    job.spec = std::move(*spec);
    change.spec = to_json(job.spec);
    change.directory = job.directory;
  }
  return change;
}

JobEntry* JobBook::find(JobId id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

const JobEntry* JobBook::find(JobId id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

Result<const JobEntry*> JobBook::named(JobId id) const {
  if (const JobEntry* job = find(id)) return job;
  return fail(ErrorCode::not_found,
              fmt::format("there is no {}; `gristmill jobs` lists them", to_string(id)));
}

JobPage JobBook::page(const ListJobs& list) const {
  const auto is_wanted = [&](const JobEntry& job) {
    return !is_over(job.state) || job.ended_at >= list.ended_since ||
           (list.wanted && std::binary_search(list.wanted->begin(), list.wanted->end(), job.id));
  };
  JobPage page;
  std::size_t looked_at = 0;
  JobId last;
  for (auto it = jobs_.upper_bound(list.after); it != jobs_.end(); ++it) {
    if (looked_at++ == ListJobs::looked_at_max || page.jobs.size() == list.limit) {
      page.more = last;
      break;
    }
    last = it->first;
    if (is_wanted(it->second)) page.jobs.push_back(&it->second);
  }
  return page;
}

} // namespace gristmill::jobs
