// The lives of jobs in COORDINATOR's room: opened, held, changed once the journal has it, merged,
// closed.
#include "actors/kit/mutant.hpp"
#include "actors/wiring/job_log.hpp"
#include "actors/wiring/rooms.hpp"
#include "protocol/rules/served.hpp"

#include <fmt/format.h>

namespace gristmill::wiring {
namespace {

// Of coordinators in a row: after so many the job goes on probation, makes one call at a time;
// after so many on probation with the same item out it is paused, and after so many whatever is
// out.
constexpr std::uint32_t probation_after = 3, probation_ends_max = 3, crashes_max = 30;
constexpr std::size_t kept_errors_max = 8;                // of a job that is over
constexpr auto journaled_after = std::chrono::seconds{5}; // shorter waits are soon forgotten

// What the job's calls are limited to by itself.
RateLimits limits_of(const coordinator::JobEntry& job) {
  const bool careful = job.careful_beyond.has_value();
  return {job.spec.limits.rates.requests_per_minute, job.spec.limits.rates.tokens_per_minute,
          careful ? 1 : job.spec.limits.rates.max_in_flight};
}

} // namespace

// Many crashes are somebody else's fault: one call at a time shows whose. What brings the
// coordinator down each time that it is called will do so again.
void CoordinatorRoom::suspect(coordinator::JobEntry& job, const Moment& moment, Post& post) {
  if (job.state != JobState::running) return;
  if (job.probation_ends < probation_ends_max && job.crashes < crashes_max) return;
  change(job.id,
         {JobState::paused, JobReason::crashes,
          fmt::format("the coordinator ended {} times without warning while this job ran, and "
                      "nothing of it was recorded between; look into its log, and `gristmill "
                      "resume {}` tries again",
                      job.crashes, to_string(job.id))},
         0, moment, post);
}

// Something was recorded: it is not this job that brings us down.
void CoordinatorRoom::trust(coordinator::JobEntry& job, Post& post) {
  job.careful_beyond.reset();
  on_probation_.erase(job.id);
  job.crashes = job.probation_ends = 0;
  job.detail.clear();
  LimiterNews news;
  news.jobs_changed.emplace_back(job.id, limits_of(job));
  post.tell(to_limiter, std::move(news));
}

// Which item is out, so that the next life knows with which one we ended.
void CoordinatorRoom::note_probation(Post& post) {
  AppendNow append;
  for (auto& [job, noted] : on_probation_) {
    const auto out = coordinator_.first_out(job);
    if (!out || out == noted) continue;
    noted = out;
    append.part.probation.push_back({job, *out});
  }
  if (!append.part.probation.empty()) post.tell(to_journal, std::move(append));
}

void CoordinatorRoom::open(coordinator::JobEntry& job, supervisor::RecoveredItems items,
                           const Moment& moment, Post& post) {
  job.open = true;
  JobMoney money = money_[job.id];
  money.cap = job.spec.limits.budget_usd.nano;
  money_.erase(job.id);
  if (job.crashes >= probation_after && job.state == JobState::running) {
    on_probation_[job.id];
    job.careful_beyond = items.counts.attempts + items.counts.terminal();
    job.detail =
        fmt::format("after {} ends without warning and with nothing recorded: one call at a "
                    "time until something is",
                    job.crashes);
    post.events.push_back({"job.careful", {{"job", to_string(job.id)}}, true});
  }
  post.events.push_back(job_started(job, items.counts));
  const coordinator::EarlierLives earlier{items.mark, money.assumed};
  if (job.waits_since != 0)
    items.outage =
        std::chrono::seconds{std::max<std::int64_t>(moment.unix_seconds - job.waits_since, 0)};
  tell_room(to_supervisor(job.id), OpenJob{job.spec, std::move(items)}, post);
  // Every item was terminal when we stopped: the supervisor will say so again, and merging resumes.
  if (job.state == JobState::merging)
    job.state = job.merges_cancelled() ? JobState::cancelling : JobState::running;
  JobBudget budget{job.id,
                   model_of_all(job.spec),
                   limits_of(job),
                   {},
                   money,
                   job.spec.policy.default_model,
                   coordinator::own_share(job.spec),
                   std::move(learned_[job.id])};
  learned_.erase(job.id);
  auto effects = coordinator_.job_opened(job.id, job.spec, budget.endpoints, moment.now, earlier);
  LimiterNews news;
  news.endpoints_added = std::move(effects.endpoints_added);
  news.jobs_opened.push_back(std::move(budget));
  effects.endpoints_added.clear();
  post.tell(to_limiter, std::move(news));
  emit(std::move(effects), post);
  if (job.state == JobState::cancelling || job.state == JobState::paused) {
    if (job.state == JobState::cancelling) post.tell(to_supervisor(job.id), CancelItems{});
    hold(job.id, moment, post);
  }
}

void CoordinatorRoom::close(JobId id, const Moment& moment, Post& post) {
  coordinator::JobEntry* job = desk_.find(id);
  if (job == nullptr || !job->open) return;
  job->open = false;
  // What its room did not record stays with workers that would keep it for ever.
  if (job->state == JobState::failed) emit(coordinator_.job_failed(id), post);
  emit(coordinator_.job_closed(id, moment.now), post);
  LimiterNews news;
  news.jobs_closed.push_back(id);
  post.tell(to_limiter, std::move(news));
  for (const Address& room : {to_supervisor(id), to_merger(id)})
    if (rooms_.contains(room)) post.tell(room, CloseRoom{});
  merge_full_.erase(id);
  if (job->errors) // many jobs that are over are kept
    job->errors = std::make_shared<const ErrorList>(leading(*job->errors, kept_errors_max));
  probe_wait_.forget(id);
  wait_news_.forget(id);
  on_probation_.erase(id);
  answer_late(id, moment, post);
}

// A message that opens a room.
void CoordinatorRoom::tell_room(const Address& room, Message message, Post& post) {
  rooms_.insert(room);
  post.tell(room, std::move(message));
}

void CoordinatorRoom::room_gone(const Address& room, const Moment& moment, Post& post) {
  rooms_.erase(room);
  if (room.place == Place::merger)
    if (const auto again = merging_again_.extract(room.job))
      refuse(again.mapped(), ErrorCode::internal, "the merge failed; the log says why", post);
  answer_late(room.job, moment, post);
}

// At once: what takes permission away waits for no disk.
void CoordinatorRoom::hold(JobId job, const Moment& moment, Post& post) {
  if (mutated("paused_job_still_offers")) return;
  post.tell(to_supervisor(job), PauseItems{});
  emit(coordinator_.job_held(job, moment.now), post);
}

void CoordinatorRoom::change(JobId id, StateChange to, std::uint64_t token, const Moment& moment,
                             Post& post) {
  const JobState state = to.state;
  auto change = desk_.change(id, std::move(to), moment.unix_seconds);
  if (!change) {
    if (const coordinator::JobEntry* job = asked(id, token, post)) confirm(*job, token, post);
    return;
  }
  AppendNow append;
  append.part.jobs.push_back(std::move(*change));
  (mutated("job_told_before_durable") ? post.envelopes : append.release)
      .push_back({to_coordinator, JobDurable{id, state, token, true}});
  post.tell(to_journal, std::move(append));
}

// It has this state already, and perhaps not on the disk yet: the answer waits for that.
void CoordinatorRoom::confirm(const coordinator::JobEntry& job, std::uint64_t token, Post& post) {
  AppendNow after_all;
  after_all.release.push_back({to_coordinator, JobDurable{job.id, job.state, token}});
  post.tell(to_journal, std::move(after_all));
}

// A state that the journal holds may be seen: the question that waited for it is answered.
void CoordinatorRoom::on(JobDurable& durable, const Moment& moment, Post& post) {
  coordinator::JobEntry* job = desk_.find(durable.job);
  if (job == nullptr) return refuse(durable.token, ErrorCode::not_found, "it is forgotten", post);
  // Told once: an answer that waited for the disk comes behind the same change.
  if (durable.state != JobState::running && durable.changed)
    post.events.push_back(job_changed(*job, durable.state, moment.unix_seconds));
  switch (durable.state) {
  case JobState::running:
    if (!job->open) {
      const auto items = reopening_.extract(job->id);
      if (!items) post.events.push_back(job_submitted(*job));
      open(*job, items ? std::move(items.mapped()) : supervisor::RecoveredItems{}, moment, post);
    } else {
      post.events.push_back(job_resumed(*job));
      LimiterNews news;
      news.jobs_resumed.push_back({job->id, job->spec.limits.budget_usd.nano});
      post.tell(to_limiter, std::move(news));
      post.tell(to_supervisor(job->id), ResumeItems{durable.probing});
      emit(coordinator_.job_released(job->id, moment.now), post);
    }
    break;
  case JobState::cancelling:
    if (!durable.changed) break;
    post.tell(to_supervisor(job->id), CancelItems{});
    emit(coordinator_.job_held(job->id, moment.now), post);
    break;
  case JobState::finished:
  case JobState::cancelled:
  case JobState::failed: close(job->id, moment, post); break;
  default: break;
  }
  show(*job, durable.token, moment, post);
}

// A job whose endpoints have no credit, are away or refuse it goes on by itself now and then: its
// first calls tell whether that is over.
void CoordinatorRoom::probe_endpoints(const Moment& moment, Post& post) {
  if (flat_) return;
  for (const JobId id : probe_wait_.due(moment.now)) {
    coordinator::JobEntry* job = desk_.find(id);
    if (job != nullptr && job->open && job->state == JobState::paused &&
        coordinator::goes_on_to_probe(job->reason))
      run_again(*job, {}, {}, 0, moment, post, job->reason == JobReason::endpoint);
  }
}

// Since when a job waits for its endpoints is journaled once, so that no restart makes it wait
// anew; that it is over is journaled too.
void CoordinatorRoom::mind_outage(coordinator::JobEntry& job, const JobReport& report,
                                  const Moment& moment, Post& post) {
  if (job.state != JobState::running) return;
  const auto since = report.unanswered_since;
  const bool begins = since && job.waits_since == 0 && moment.now - *since >= journaled_after;
  const bool ends = !since && job.waits_since != 0;
  if (!begins && !ends) return;
  const std::int64_t waited = since ? (moment.now - *since) / std::chrono::seconds{1} : 0;
  AppendNow append;
  append.part.jobs.push_back(begins
                                 ? desk_.waits(job, moment.unix_seconds - waited,
                                               explained(job.id, job.waiting, moment.now).sentence)
                                 : desk_.waits(job, 0, ""));
  post.tell(to_journal, std::move(append));
}

void CoordinatorRoom::on(JobReport& report, const Moment& moment, Post& post) {
  coordinator::JobEntry* job = desk_.find(report.job);
  if (job == nullptr || is_over(job->state)) return;
  job->counts = report.counts;
  if (report.errors) job->errors = std::move(report.errors);
  job->waiting = std::move(report.waiting);
  job->items_left = report.items_left;
  if (!report.stop && !report.all_terminal) mind_outage(*job, report, moment, post);
  if (job->careful_beyond &&
      report.counts.attempts + report.counts.terminal() > *job->careful_beyond)
    trust(*job, post);
  if (report.stop) {
    if (report.stop->state == JobState::paused) hold(job->id, moment, post);
    if (coordinator::goes_on_to_probe(report.stop->reason) && !flat_) {
      probe_wait_.paused(job->id, report.stop->reason, moment.now);
      report.stop->sentence +=
          fmt::format("; it is asked again by itself {}, at once with `gristmill resume {}`",
                      report.stop->reason == JobReason::quota ? "now and then" : "once a minute",
                      to_string(job->id));
    }
    change(job->id, std::move(*report.stop), 0, moment, post);
  } else if (report.all_terminal) {
    merger::MergeTask task{job->id,
                           job->spec,
                           report.counts,
                           job->created_at,
                           moment.unix_seconds,
                           job->state == JobState::cancelling,
                           job->errors ? *job->errors : ErrorList{}};
    change(job->id,
           {JobState::merging, task.cancelled ? JobReason::user : JobReason::none,
            task.cancelled ? "cancelled" : ""},
           0, moment, post);
    tell_room(to_merger(job->id), std::move(task), post);
  }
}

// Its lines are all there, so neither its input nor a supervisor is needed.
void CoordinatorRoom::answer(const MergeAgain& merge, std::uint64_t token, const Moment&,
                             Post& post) {
  const coordinator::JobEntry* job = asked(merge.job, token, post);
  if (job == nullptr) return;
  const bool complete = job->state == JobState::finished || job->state == JobState::cancelled;
  if (!complete || reopening_.contains(job->id) || reading_.contains(job->id) ||
      forgetting_.contains(job->id))
    return refuse(token, ErrorCode::conflict,
                  fmt::format("expected a job that is over, {} is {}", to_string(job->id),
                              name_of(job->state)),
                  post);
  merging_again_[job->id] = token;
  tell_room(to_merger(job->id),
            merger::MergeTask{job->id, job->spec, job->counts, job->created_at, job->ended_at,
                              job->state == JobState::cancelled,
                              job->errors ? *job->errors : ErrorList{}},
            post);
}

void CoordinatorRoom::on(MergeReport& report, const Moment& moment, Post& post) {
  coordinator::JobEntry* job = desk_.find(report.job);
  if (job == nullptr) return;
  if (const auto again = merging_again_.extract(job->id)) {
    post.tell(to_merger(job->id), CloseRoom{});
    if (report.failure.empty()) return show(*job, again.mapped(), moment, post);
    return refuse(again.mapped(), report.again ? ErrorCode::disk_full : ErrorCode::io,
                  std::move(report.failure), post);
  }
  if (report.again) {
    merge_full_[job->id] = std::move(report.failure);
    return;
  }
  merge_full_.erase(job->id);
  post.tell(to_merger(job->id), CloseRoom{});
  if (report.failure.empty())
    job->errors = std::make_shared<const ErrorList>(std::move(report.errors));
  if (!report.failure.empty()) {
    change(job->id, {JobState::failed, JobReason::internal, report.failure}, 0, moment, post);
  } else {
    const bool cancelled = job->merges_cancelled() && !mutated("cancel_overwritten");
    change(job->id, {cancelled ? JobState::cancelled : JobState::finished, JobReason::none, ""}, 0,
           moment, post);
  }
}

} // namespace gristmill::wiring
