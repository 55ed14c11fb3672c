#include "actors/wiring/rooms.hpp"

#include "actors/kit/mutant.hpp"

#include <fmt/format.h>

namespace gristmill::wiring {
namespace {

constexpr auto tick_every = std::chrono::milliseconds{500};
constexpr std::uint32_t crashes_max = 3;

coordinator::Options options_of(const NodeOptions& options, const journal::Recovered& recovered) {
  coordinator::Options coordinator{recovered.epoch, options.cluster, {}, options.pools};
  if (!options.workers_died) coordinator.expected = recovered.sessions;
  return coordinator;
}

} // namespace

ClosedJob content_of(const journal::RecoveredJob& job) {
  ClosedJob content;
  content.items.terminal = job.terminal;
  content.items.attempts = job.attempts;
  content.items.counts = job.counts;
  content.items.low = job.low;
  content.items.mark = job.mark;
  content.failed = job.failed;
  return content;
}

CoordinatorRoom::CoordinatorRoom(const NodeOptions& options, const journal::Recovered& recovered,
                                 Time now)
    : coordinator_{options_of(options, recovered), now}, desk_{options.flat}, flat_{options.flat} {
  desk_.forget(recovered.last_forgotten);
  for (const journal::RecoveredJob& job : recovered.jobs) {
    coordinator::JobEntry entry;
    entry.id = job.job;
    entry.directory = job.directory;
    entry.state = job.state;
    entry.reason = job.reason;
    entry.detail = job.detail;
    entry.counts = job.counts;
    entry.created_at = job.created_at;
    entry.ended_at = job.ended_at;
    entry.crashes = job.crashes;
    if (auto spec = job_spec_from_json(job.spec)) {
      entry.spec = std::move(*spec);
    } else {
      entry.state = JobState::failed;
      entry.detail = spec.error().message;
    }
    const bool crashed = !recovered.sessions.empty();
    money_[job.job] = money_of(job, crashed, crashed && !options.workers_died);
    if (entry.state == JobState::paused && entry.reason == JobReason::quota)
      quota_wait_.paused(job.job, now);
    if (is_over(entry.state)) {
      entry.counts.total = entry.counts.terminal();
      entry.counts.total_known = true;
    }
    if (!is_over(entry.state) || options.flat) {
      closed_[job.job] = content_of(job);
      learned_[job.job] = job.learned;
      closed_[job.job].items.may_have_called = !recovered.sessions.empty();
    }
    desk_.recovered(std::move(entry));
  }
}

void CoordinatorRoom::handle(Message message, const Moment& moment, Post& post) {
  const Time now = moment.now;
  std::visit(
      [&](auto& m) {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, SessionDurable>) {
          emit(coordinator_.session_durable(m.session, now), post);
        } else if constexpr (std::is_same_v<M, RecordedNow>) {
          emit(coordinator_.recorded(m.session, m.attempts, now), post);
        } else if constexpr (requires { on(m, moment, post); }) {
          on(m, moment, post);
        }
      },
      message);
  // Not an interval since the last message: a busy room would never hear its alarm.
  if (now >= next_tick_) {
    emit(coordinator_.tick(now), post);
    ask_for_quota(moment, post);
    mind_deadlines(moment, post);
    tell_reasons(now, post);
    next_tick_ = now + tick_every;
  }
  post.wake_at = next_tick_;
}

void CoordinatorRoom::on(Start, const Moment& moment, Post& post) {
  journal_assumed_money(post);
  emit(coordinator_.started(), post);
  if (flat_) return; // the command says how its job goes on
  for (auto& [id, job] : desk_.jobs()) {
    const auto content = closed_.find(id);
    if (content == closed_.end()) continue;
    suspect(job, moment, post);
    open(job, std::move(content->second.items), moment, post);
  }
  closed_.clear();
}

// Before any session of an earlier life is over in the journal: from then on nothing else would say
// that its calls may have cost more than is recorded.
void CoordinatorRoom::journal_assumed_money(Post& post) {
  AppendNow append;
  for (const auto& [id, money] : money_)
    if (money.assumed > 0) append.part.money.push_back({id, 0, {}, money.assumed});
  if (!append.part.money.empty()) post.tell(to_journal, std::move(append));
}

namespace {

// What the job's calls are limited to by itself.
AccountLimits limits_of(const coordinator::JobEntry& job) {
  const bool careful = job.careful_beyond.has_value();
  return {job.spec.requests_per_minute, job.spec.tokens_per_minute,
          careful ? 1 : job.spec.max_in_flight};
}

} // namespace

// What brought the coordinator down three times may do so a fourth time.
void CoordinatorRoom::suspect(coordinator::JobEntry& job, const Moment& moment, Post& post) {
  if (job.crashes < crashes_max || job.state != JobState::running) return;
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
  job.crashes = 0;
  job.detail.clear();
  LimiterNews news;
  news.jobs_changed.emplace_back(job.id, limits_of(job));
  post.tell(to_limiter, std::move(news));
}

void CoordinatorRoom::open(coordinator::JobEntry& job, supervisor::RecoveredItems items,
                           const Moment& moment, Post& post) {
  job.open = true;
  JobMoney money = money_[job.id];
  money.cap = job.spec.budget_usd.nano;
  money_.erase(job.id);
  if (flat_ && job.crashes >= crashes_max) { // the command runs it all the same
    job.careful_beyond = items.counts.attempts + items.counts.terminal();
    job.detail =
        fmt::format("after {} ends without warning and with nothing recorded: one call at a "
                    "time until something is",
                    job.crashes);
    post.events.push_back({"job.careful", {{"job", to_string(job.id)}}, true});
  }
  post.tell(to_supervisor(job.id), OpenJob{job.spec, std::move(items)});
  // Every item was terminal when we stopped: the supervisor will say so again, and merging resumes.
  if (job.state == JobState::merging)
    job.state = job.detail == "cancelled" ? JobState::cancelling : JobState::running;
  JobBudget budget{job.id,
                   model_of_all(job.spec),
                   limits_of(job),
                   {},
                   money,
                   job.spec.default_model,
                   coordinator::own_share(job.spec),
                   std::move(learned_[job.id])};
  learned_.erase(job.id);
  auto effects = coordinator_.job_opened(job.id, job.spec, budget.endpoints, moment.now);
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
  emit(coordinator_.job_closed(id, moment.now), post);
  LimiterNews news;
  news.jobs_closed.push_back(id);
  post.tell(to_limiter, std::move(news));
  post.tell(to_supervisor(id), CloseRoom{});
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
  if (!change) return;
  AppendNow append;
  append.part.jobs.push_back(std::move(*change));
  (mutated("job_told_before_durable") ? post.envelopes : append.release)
      .push_back({to_coordinator, JobDurable{id, state, token}});
  post.tell(to_journal, std::move(append));
}

void CoordinatorRoom::mind_deadlines(const Moment& moment, Post& post) {
  for (const auto& [id, job] : desk_.jobs()) {
    if (!job.open || job.state != JobState::running || job.spec.deadline == 0) continue;
    const double seconds_left =
        static_cast<double>(job.spec.deadline) - static_cast<double>(moment.unix_seconds);
    emit(coordinator_.mind_deadline(id, job.items_left, seconds_left), post);
  }
}

void CoordinatorRoom::on(FramesIn& in, const Moment& moment, Post& post) {
  emit(coordinator_.received(in.frames, moment.now), post);
  SendFrames consumed;
  for (const auto& frame : in.frames) consumed.consumed_bytes += frame.bytes.size();
  post.tell(to_gateway, std::move(consumed));
}

void CoordinatorRoom::on(PeersGone& gone, const Moment& moment, Post& post) {
  for (const auto& peer : gone.peers) emit(coordinator_.peer_gone(peer, moment.now), post);
}

void CoordinatorRoom::on(Offer& offer, const Moment& moment, Post& post) {
  if (!offer.withdrawn.empty())
    emit(coordinator_.withdrawn(offer.job, offer.withdrawn, moment.now), post);
  if (!offer.calls.empty())
    emit(coordinator_.offered(offer.job, std::move(offer.calls), moment.now), post);
}

// A state that the journal holds may be seen: the question that waited for it is answered.
void CoordinatorRoom::on(JobDurable& durable, const Moment& moment, Post& post) {
  coordinator::JobEntry* job = desk_.find(durable.job);
  if (job == nullptr) return;
  switch (durable.state) {
  case JobState::running:
    if (!job->open) {
      const auto items = reopening_.extract(job->id);
      open(*job, items ? std::move(items.mapped()) : supervisor::RecoveredItems{}, moment, post);
    } else {
      LimiterNews news;
      news.jobs_resumed.push_back({job->id, job->spec.budget_usd.nano});
      post.tell(to_limiter, std::move(news));
      post.tell(to_supervisor(job->id), ResumeItems{});
      emit(coordinator_.job_released(job->id, moment.now), post);
    }
    break;
  case JobState::cancelling:
    post.tell(to_supervisor(job->id), CancelItems{});
    emit(coordinator_.job_held(job->id, moment.now), post);
    break;
  case JobState::finished:
  case JobState::cancelled:
  case JobState::failed: close(job->id, moment, post); break;
  default: break;
  }
  if (durable.token != 0)
    post.tell(to_client, Answer{durable.token, {}, {view(*job, moment.now)}, {}, {}, {}});
}

void CoordinatorRoom::on(Granted& granted, const Moment& moment, Post& post) {
  emit(coordinator_.granted(granted, moment.now), post);
  for (const BudgetStop& stop : granted.stops) {
    const coordinator::JobEntry* job = desk_.find(stop.job);
    // One that was said before the budget was raised says nothing of the new one.
    if (job == nullptr || job->state != JobState::running || job->spec.budget_usd.nano != stop.cap)
      continue;
    hold(job->id, moment, post);
    std::string why = why_stopped(stop);
    if (!flat_)
      why += fmt::format("; `gristmill resume {} --budget-usd USD` goes on with more",
                         to_string(job->id));
    change(job->id, {JobState::paused, JobReason::budget, std::move(why)}, 0, moment, post);
  }
}

// A job whose endpoints have no credit goes on by itself now and then: its first calls tell whether
// they have some again.
void CoordinatorRoom::ask_for_quota(const Moment& moment, Post& post) {
  if (flat_) return;
  for (const JobId id : quota_wait_.due(moment.now)) {
    coordinator::JobEntry* job = desk_.find(id);
    if (job != nullptr && job->open && job->state == JobState::paused &&
        job->reason == JobReason::quota)
      run_again(*job, {}, {}, 0, moment, post);
  }
}

void CoordinatorRoom::on(JobReport& report, const Moment& moment, Post& post) {
  coordinator::JobEntry* job = desk_.find(report.job);
  if (job == nullptr || is_over(job->state)) return;
  job->counts = report.counts;
  job->next_call = report.next_call;
  job->waiting = std::move(report.waiting);
  job->items_left = report.items_left;
  if (job->careful_beyond &&
      report.counts.attempts + report.counts.terminal() > *job->careful_beyond)
    trust(*job, post);
  if (report.stop) {
    if (report.stop->state == JobState::paused) hold(job->id, moment, post);
    if (report.stop->reason == JobReason::quota && !flat_) {
      quota_wait_.paused(job->id, moment.now);
      report.stop->sentence += fmt::format("; it is asked again by itself now and then, at once "
                                           "with `gristmill resume {}`",
                                           to_string(job->id));
    }
    change(job->id, std::move(*report.stop), 0, moment, post);
  } else if (report.all_terminal) {
    merger::MergeTask task{
        job->id,         job->spec,           report.counts,
        job->created_at, moment.unix_seconds, job->state == JobState::cancelling};
    change(job->id, {JobState::merging, JobReason::none, task.cancelled ? "cancelled" : ""}, 0,
           moment, post);
    post.tell(to_merger(job->id), std::move(task));
  }
}

void CoordinatorRoom::on(MergeReport& report, const Moment& moment, Post& post) {
  coordinator::JobEntry* job = desk_.find(report.job);
  if (job == nullptr) return;
  if (report.again) {
    merge_full_[job->id] = std::move(report.failure);
    return;
  }
  merge_full_.erase(job->id);
  post.tell(to_merger(job->id), CloseRoom{});
  if (!report.failure.empty()) {
    change(job->id, {JobState::failed, JobReason::internal, report.failure}, 0, moment, post);
  } else {
    const bool cancelled = job->detail == "cancelled" && !mutated("cancel_overwritten");
    change(job->id, {cancelled ? JobState::cancelled : JobState::finished, JobReason::none, ""}, 0,
           moment, post);
  }
}

void CoordinatorRoom::on(DiskFull& full, const Moment&, Post& post) {
  journal_full_ = std::move(full.sentence);
  if (journal_full_.empty()) post.events.push_back({"journal.goes_on", {}});
}

// A job's room that crashed parks its job; the others go on.
void CoordinatorRoom::on(RoomCrashed& crashed, const Moment& moment, Post& post) {
  explain_no_items(crashed.room.job, moment, post);
  change(crashed.room.job,
         {JobState::failed, JobReason::internal,
          fmt::format("internal error in {}: {}", name_of(crashed.room), crashed.what)},
         0, moment, post);
}

JobView CoordinatorRoom::view(const coordinator::JobEntry& job, Time now) const {
  JobView view{job.id, job.state,      job.reason,   job.detail,      job.counts,
               "",     job.created_at, job.ended_at, job.spec.output, job.spec.budget_usd};
  view.weight = job.spec.weight;
  view.priority = job.spec.priority;
  view.deadline = static_cast<std::int64_t>(job.spec.deadline);
  view.urgent = coordinator_.share_of(job.id).priority == coordinator::urgent_priority;
  view.counts.in_flight = coordinator_.in_flight(job.id);
  if (is_over(job.state)) return view;
  const std::string& full = full_disk_of(job.id);
  if (WaitReason reason = reason_of(job, now); is_waiting(reason.kind)) {
    view.waiting_for = reason.kind;
    view.waiting_at = reason.endpoint;
    view.why_waiting = explained(job.id, std::move(reason), now).sentence;
  }
  if (!full.empty() && job.state != JobState::paused) {
    view.state = JobState::paused;
    view.reason = JobReason::disk;
    view.detail = full + "; the job goes on by itself";
  }
  return view;
}

void CoordinatorRoom::emit(coordinator::Effects effects, Post& post) {
  if (!effects.frames.empty()) post.tell(to_gateway, SendFrames{std::move(effects.frames), 0});
  for (auto& [id, news] : effects.jobs) {
    const coordinator::JobEntry* job = desk_.find(id);
    if (job != nullptr && job->open) post.tell(to_supervisor(id), std::move(news));
  }
  LimiterNews news{std::move(effects.endpoints_added),
                   std::move(effects.endpoints_gone),
                   {},
                   {},
                   std::move(effects.claimed),
                   std::move(effects.ended),
                   std::move(effects.acquires),
                   {},
                   effects.earlier_lives_told,
                   {},
                   std::move(effects.shares_changed),
                   std::move(effects.queues)};
  if (!news.endpoints_added.empty() || !news.endpoints_gone.empty() || !news.claimed.empty() ||
      !news.ended.empty() || !news.acquires.empty() || news.earlier_lives_told ||
      !news.shares_changed.empty() || !news.queues.empty())
    post.tell(to_limiter, std::move(news));
  if (!effects.sessions.empty() || !effects.charged_nano_usd.empty()) {
    AppendNow append;
    for (const auto& [job, nano_usd] : effects.charged_nano_usd) {
      journal::JobNote note;
      note.job = job;
      note.cost_nano_usd = nano_usd;
      append.part.notes.push_back(std::move(note));
    }
    for (const auto& session : effects.sessions)
      if (session.open)
        (mutated("welcome_before_durable") ? post.envelopes : append.release)
            .push_back({to_coordinator, SessionDurable{session.session}});
    append.part.sessions = std::move(effects.sessions);
    post.tell(to_journal, std::move(append));
  }
  std::move(effects.events.begin(), effects.events.end(), std::back_inserter(post.events));
}

} // namespace gristmill::wiring
