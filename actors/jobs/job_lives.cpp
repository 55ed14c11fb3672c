#include "actors/jobs/job_lives.hpp"

#include "actors/jobs/job_log.hpp"
#include "actors/jobs/job_money.hpp"
#include "actors/kit/mutant.hpp"

#include <fmt/format.h>

namespace gristmill::jobs {
namespace {

constexpr std::size_t kept_errors_max = 8; // of a job that is over

std::uint64_t recorded(const JobCounts& counts) {
  return counts.attempts + counts.terminal();
}

SharedErrors shared(ErrorList errors) {
  return std::make_shared<const ErrorList>(std::move(errors));
}

} // namespace

void JobLives::recovered(const journal::RecoveredJob& job, Time now) {
  JobEntry entry = entry_of(job);
  probation_.recovered(entry.id, job.crashes, job.probation_ends);
  if (entry.state == JobState::paused && goes_on_to_probe(entry.reason))
    probe_wait_.paused(entry.id, entry.reason, now);
  book_.recovered(std::move(entry));
}

void JobLives::forget(JobId job) {
  book_.forget(job);
  probation_.forget(job);
  probe_wait_.forget(job);
}

Result<Effects> JobLives::submit(JobSpec spec, std::uint64_t token, const Moment& moment) {
  auto submitted = book_.submit(std::move(spec), moment.unix_seconds);
  GRISTMILL_TRY(submitted);
  Append append;
  append.then = JobDurable{submitted->job, JobState::running, token};
  append.part.jobs.push_back(std::move(*submitted));
  Effects effects;
  effects.add(std::move(append));
  return effects;
}

Effects JobLives::cancel(JobId job, std::uint64_t token, const Moment& moment) {
  Effects effects;
  change(job, {JobState::cancelling, JobReason::user, ""}, moment, effects, token);
  return effects;
}

Effects JobLives::pause(JobId job, std::uint64_t token, const Moment& moment) {
  Effects effects;
  hold(job, effects);
  change(job,
         {JobState::paused, JobReason::user,
          fmt::format("paused on request; `gristmill resume {}` goes on", to_string(job))},
         moment, effects, token);
  return effects;
}

Effects JobLives::run(JobId job, std::optional<JobSpec> spec, Append append, const Moment& moment) {
  Effects effects;
  append.part.jobs.push_back(book_.reopen(job, std::move(spec), moment.unix_seconds));
  effects.add(std::move(append));
  return effects;
}

void JobLives::begins_with(JobId job, const JobCounts& counts, ErrorList errors) {
  JobEntry& entry = *book_.find(job);
  entry.counts = counts;
  entry.errors = shared(std::move(errors));
}

Effects JobLives::open_again(JobId job, KeptJob kept, const Moment& moment) {
  Effects effects;
  if (book_.find(job)->state == JobState::running && probation_.is_given_up(job))
    change(job,
           {JobState::paused, JobReason::crashes,
            fmt::format("the coordinator ended {} times without warning while this job ran, and "
                        "nothing of it was recorded between; look into its log, and `gristmill "
                        "resume {}` tries again",
                        probation_.crashes(job), to_string(job))},
           moment, effects);
  effects.add(open(job, std::move(kept), moment));
  return effects;
}

Effects JobLives::open(JobId id, KeptJob kept, const Moment& moment) {
  Effects effects;
  JobEntry& job = *book_.find(id);
  const JobCounts& counts = kept.content.counts;
  job.open = true;
  kept.money.cap = job.spec.limits.budget;
  if (job.state == JobState::running && probation_.begins(id, recorded(counts))) {
    job.detail = fmt::format("after {} ends without warning and with nothing recorded: one call at "
                             "a time until something is",
                             probation_.crashes(id));
    effects.events.push_back({"job.careful", {{"job", to_string(id)}}, true});
  }
  effects.events.push_back(job_started(job, counts));
  Open opened{id, std::move(kept), limits_of(job)};
  if (job.waits_since != 0)
    opened.outage =
        std::chrono::seconds{std::max<std::int64_t>(moment.unix_seconds - job.waits_since, 0)};
  rooms_.insert({id, JobRoom::supervisor});
  effects.add(std::move(opened));
  // Every item was terminal when we stopped: the supervisor will say so again, and merging resumes.
  if (job.state == JobState::merging)
    job.state = job.merges_cancelled() ? JobState::cancelling : JobState::running;
  if (job.state == JobState::cancelling) effects.add(Cancel{id});
  if (job.state == JobState::cancelling || job.state == JobState::paused) hold(id, effects);
  return effects;
}

Effects JobLives::resume(JobId id, bool probing) {
  Effects effects;
  const JobEntry& job = *book_.find(id);
  effects.events.push_back(job_resumed(job));
  effects.add(Resume{id, job.spec.limits.budget, probing});
  return effects;
}

Effects JobLives::close(JobId id) {
  Effects effects;
  JobEntry& job = *book_.find(id);
  job.ends_from.reset();
  if (!job.open) return effects;
  job.open = false;
  effects.add(Close{id, job.state == JobState::failed});
  for (const JobRoom room : {JobRoom::supervisor, JobRoom::merger})
    if (has_room(id, room)) effects.add(CloseRoom{id, room});
  // Many jobs that are over are kept.
  if (job.errors) job.errors = shared(leading(*job.errors, kept_errors_max));
  merge_full_.erase(id);
  probe_wait_.forget(id);
  wait_news_.forget(id);
  probation_.closed(id);
  return effects;
}

Effects JobLives::merge(JobId job, std::int64_t ended_at, bool cancelled) {
  Effects effects;
  rooms_.insert({job, JobRoom::merger});
  effects.add(Merge{job, ended_at, cancelled});
  return effects;
}

// At once: what takes permission away waits for no disk.
void JobLives::hold(JobId job, Effects& effects) {
  if (mutated("paused_job_still_offers")) return;
  effects.add(Pause{job});
  effects.add(Hold{job});
}

void JobLives::change(JobId id, StateChange to, const Moment& moment, Effects& effects,
                      std::uint64_t token) {
  JobDurable durable{id, to.state, token, true};
  Append append;
  if (auto change = book_.change(id, std::move(to), moment.unix_seconds)) {
    append.part.jobs.push_back(std::move(*change));
  } else { // it is there already, and perhaps not on the disk yet: the answer waits for that
    const JobEntry* job = book_.find(id);
    if (job == nullptr) return;
    durable = {id, job->state, token};
  }
  append.then = durable;
  effects.add(std::move(append));
}

Effects JobLives::reported(JobReport report, const Moment& moment) {
  Effects effects;
  const JobId id = report.job;
  JobEntry* job = book_.find(id);
  if (job == nullptr || is_over(job->state)) return effects;
  job->counts = report.counts;
  if (report.errors) job->errors = std::move(report.errors);
  job->waiting = std::move(report.waiting);
  job->items_left = report.items_left;
  const bool goes_on = !report.stop && !report.all_terminal;
  if (auto waits = goes_on ? book_.unanswered(id, report.unanswered_since, moment) : std::nullopt) {
    Append append;
    append.part.jobs.push_back(std::move(*waits));
    effects.add(std::move(append));
  }
  // Something was recorded: it is not this job that brings us down.
  if (probation_.passes(id, recorded(job->counts))) {
    job->detail.clear();
    effects.add(Limit{id, limits_of(*job)});
  }
  if (report.stop) {
    stop(id, std::move(*report.stop), moment, effects);
  } else if (report.all_terminal) {
    const bool cancelled = job->state == JobState::cancelling;
    change(id,
           {JobState::merging, cancelled ? JobReason::user : JobReason::none,
            cancelled ? "cancelled" : ""},
           moment, effects);
    effects.add(merge(id, moment.unix_seconds, cancelled));
  }
  return effects;
}

// Its supervisor cannot or should not go on. A job whose endpoints have no credit, are away or
// refuse it goes on by itself now and then: its first calls tell whether that is over.
void JobLives::stop(JobId job, StateChange to, const Moment& moment, Effects& effects) {
  if (to.state == JobState::paused) hold(job, effects);
  if (goes_on_to_probe(to.reason) && !flat_) {
    probe_wait_.paused(job, to.reason, moment.now);
    to.sentence += fmt::format(
        "; it is asked again by itself {}, at once with `gristmill resume {}`",
        to.reason == JobReason::quota ? "now and then" : "once a minute", to_string(job));
  }
  change(job, std::move(to), moment, effects);
}

Effects JobLives::merged(MergeReport report, const Moment& moment) {
  Effects effects;
  const JobId id = report.job;
  JobEntry* job = book_.find(id);
  if (job == nullptr) return effects;
  if (report.again) {
    merge_full_[id] = std::move(report.failure);
    return effects;
  }
  merge_full_.erase(id);
  effects.add(CloseRoom{id, JobRoom::merger});
  if (!report.failure.empty()) {
    change(id, {JobState::failed, JobReason::internal, std::move(report.failure)}, moment, effects);
    return effects;
  }
  job->errors = shared(std::move(report.errors));
  const bool cancelled = job->merges_cancelled() && !mutated("cancel_overwritten");
  change(id, {cancelled ? JobState::cancelled : JobState::finished, JobReason::none, ""}, moment,
         effects);
  return effects;
}

Effects JobLives::crashed(JobId job, std::string why, const Moment& moment) {
  Effects effects;
  change(job, {JobState::failed, JobReason::internal, std::move(why)}, moment, effects);
  return effects;
}

Effects JobLives::budget_spent(const BudgetStop& stop, const Moment& moment) {
  Effects effects;
  const JobEntry* job = book_.find(stop.job);
  // One that was said before the budget was raised says nothing of the new one.
  if (job == nullptr || job->state != JobState::running || job->spec.limits.budget != stop.cap)
    return effects;
  hold(stop.job, effects);
  std::string why = why_stopped(stop);
  if (!flat_)
    why += fmt::format("; `gristmill resume {} --budget-usd USD` goes on with more",
                       to_string(stop.job));
  change(stop.job, {JobState::paused, JobReason::budget, std::move(why)}, moment, effects);
  return effects;
}

void JobLives::offered(JobId job, CallId last) {
  if (JobEntry* entry = book_.find(job))
    entry->next_call = std::max(entry->next_call, last.value + 1);
}

void JobLives::supervisor_waits(JobId job, WaitReason waiting) {
  JobEntry* entry = book_.find(job);
  if (entry != nullptr && !is_over(entry->state)) entry->waiting = std::move(waiting);
}

Effects JobLives::tick(const Moment& moment) {
  Effects effects;
  if (!flat_)
    for (const JobId id : probe_wait_.due(moment.now)) {
      const JobEntry* job = book_.find(id);
      if (job == nullptr || !job->open || job->state != JobState::paused ||
          !goes_on_to_probe(job->reason))
        continue;
      Append append;
      append.then = JobDurable{
          .job = id, .state = JobState::running, .probing = job->reason == JobReason::endpoint};
      effects.add(run(id, {}, std::move(append), moment));
    }
  for (const auto& [id, job] : book_.jobs()) {
    if (!job.open || job.state != JobState::running || job.spec.share.deadline == 0) continue;
    effects.add(Hurry{id, job.items_left,
                      static_cast<double>(job.spec.share.deadline) -
                          static_cast<double>(moment.unix_seconds)});
  }
  return effects;
}

Effects JobLives::items_out(std::vector<journal::ProbationNote> out) {
  Effects effects;
  Append append;
  append.part.probation = probation_.news(std::move(out));
  if (!append.part.probation.empty()) effects.add(std::move(append));
  return effects;
}

std::vector<Event> JobLives::waits(JobId id, const JobStanding& standing, const Moment& moment) {
  const JobEntry& job = *book_.find(id);
  if (!job.open || is_over(job.state)) return {};
  WaitReason reason = why_waiting(job, full_disk(id), job.waiting, standing.reason);
  if (!is_waiting(reason.kind, standing.in_flight)) reason = {};
  return wait_news_.told(job, reason, standing.at_endpoint, moment);
}

// What the job's calls are limited to by itself.
RateLimits JobLives::limits_of(const JobEntry& job) const {
  const RateLimits& rates = job.spec.limits.rates;
  return {rates.requests_per_minute, rates.tokens_per_minute,
          probation_.is_careful(job.id) ? 1 : rates.max_in_flight};
}

const std::string& JobLives::full_disk(JobId job) const {
  const auto merge = merge_full_.find(job);
  return merge != merge_full_.end() ? merge->second : journal_full_;
}

void JobLives::measure(Sizes& sizes) const {
  sizes["desk.jobs"] = book_.jobs().size();
  sizes["desk.rooms"] = rooms_.size();
  sizes["desk.suspects"] = probation_.size();
  sizes["desk.probe waits"] = probe_wait_.size();
  sizes["desk.reasons"] = wait_news_.size();
  sizes["desk.full merges"] = merge_full_.size();
}

} // namespace gristmill::jobs
