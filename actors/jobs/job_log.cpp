#include "actors/jobs/job_log.hpp"
#include "protocol/rules/served.hpp"

#include "protocol/job/pools.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill::jobs {
namespace {

void add(Event& event, std::string_view name, std::string value) {
  if (!value.empty()) event.fields.emplace_back(name, std::move(value));
}

void add_counts(Event& event, const JobCounts& counts) {
  add(event, "items", std::to_string(counts.total));
  add(event, "completed", std::to_string(counts.completed));
  add(event, "failed", std::to_string(counts.failed));
  add(event, "calls", std::to_string(counts.calls));
}

Event of(std::string_view name, const JobEntry& job) {
  return {name, {{"job", to_string(job.id)}}};
}

std::string_view name_of_change(JobState to) {
  if (is_over(to)) return "job.ended";
  if (to == JobState::paused) return "job.paused";
  return to == JobState::cancelling ? "job.cancelling" : "job.merging";
}

} // namespace

Event job_submitted(const JobEntry& job) {
  Event event = of("job.submitted", job);
  add(event, "inputs", std::to_string(job.spec.inputs.size()));
  add(event, "model", fmt::format("{}", fmt::join(models_of_all(job.spec), ", ")));
  std::string endpoints;
  for (const EndpointSpec& endpoint : job.spec.endpoints)
    endpoints += (endpoints.empty() ? "" : " ") + endpoint.url;
  add(event, "endpoints", std::move(endpoints));
  return event;
}

Event job_started(const JobEntry& job, const JobCounts& before) {
  Event event = of("job.started", job);
  add(event, "state", std::string{name_of(job.state)});
  if (before.terminal() > 0) add(event, "done_before", std::to_string(before.terminal()));
  return event;
}

Event job_resumed(const JobEntry& job) {
  Event event = of("job.resumed", job);
  add_counts(event, job.counts);
  return event;
}

Event job_changed(const JobEntry& job, JobState to, std::int64_t unix_now) {
  Event event = of(name_of_change(to), job);
  if (is_over(to)) add(event, "state", std::string{name_of(to)});
  const JobReason reason = job.state == to ? job.reason : JobReason::none;
  if (reason != JobReason::none) add(event, "reason", std::string{name_of(reason)});
  if (job.state == to) add(event, "why", job.detail);
  add_counts(event, job.counts);
  if (is_over(to))
    add(event, "seconds", std::to_string(std::max<std::int64_t>(unix_now - job.created_at, 0)));
  // It stopped by itself, and somebody should look.
  event.warning = to == JobState::failed || (to == JobState::paused && reason != JobReason::user);
  return event;
}

} // namespace gristmill::jobs
