#include "actors/wiring/rooms.hpp"

#include "actors/kit/mutant.hpp"

#include <fmt/format.h>

namespace gristmill::wiring {
namespace {

constexpr auto tick_every = std::chrono::milliseconds{500};

coordinator::Options options_of(const NodeOptions& options, const journal::Recovered& recovered) {
  return {recovered.epoch, options.cluster, recovered.sessions, options.pools,
          options.workers_died};
}

} // namespace

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

ClosedJob content_of(journal::RecoveredJob job) {
  ClosedJob content;
  content.items.terminal = std::move(job.terminal);
  content.items.attempts = std::move(job.attempts);
  content.items.counts = job.counts;
  content.items.low = job.low;
  content.items.mark = job.mark;
  content.failed = std::move(job.failed);
  return content;
}

CoordinatorRoom::CoordinatorRoom(const NodeOptions& options, journal::Recovered recovered, Time now)
    : coordinator_{options_of(options, recovered), now}, desk_{options.flat}, flat_{options.flat},
      output_path_{options.output_path} {
  desk_.forget(recovered.last_forgotten);
  for (journal::RecoveredJob& job : recovered.jobs) {
    coordinator::JobEntry entry;
    entry.id = job.job;
    entry.directory = job.directory;
    entry.state = job.state;
    entry.reason = job.reason;
    entry.detail = job.detail;
    entry.counts = job.counts;
    entry.created_at = job.created_at;
    (is_over(job.state) ? entry.ended_at : entry.waits_since) = job.ended_at;
    if (job.state != JobState::running) entry.waits_since = 0;
    entry.crashes = job.crashes;
    entry.probation_ends = job.probation_ends;
    if (auto spec = job_spec_from_json(job.spec, Unknown::skipped)) {
      entry.spec = std::move(*spec);
    } else {
      entry.state = JobState::failed;
      entry.detail = spec.error().message;
    }
    const bool crashed = !recovered.sessions.empty();
    money_[job.job] = money_of(job, crashed, crashed && !options.workers_died);
    if (entry.state == JobState::paused && coordinator::goes_on_to_probe(entry.reason))
      probe_wait_.paused(job.job, entry.reason, now);
    entry.errors = errors_of(job);
    if (is_over(entry.state)) {
      entry.counts.total = entry.counts.terminal();
      entry.counts.total_known = true;
    }
    if (!is_over(entry.state) || options.flat) {
      learned_[entry.id] = std::move(job.learned);
      closed_[entry.id] = content_of(std::move(job));
      supervisor::RecoveredItems& items = closed_[entry.id].items;
      items.may_have_called = crashed;
      if (entry.spec.limits.rates.max_in_flight != 0)
        items.calls_at_once = entry.spec.limits.rates.max_in_flight;
      items.errors = *entry.errors;
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
    probe_endpoints(moment, post);
    mind_deadlines(moment, post);
    tell_reasons(moment, post);
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
  // What is over is read again before it goes on.
  std::erase_if(money_, [this](const auto& entry) { return !closed_.contains(entry.first); });
}

void CoordinatorRoom::mind_deadlines(const Moment& moment, Post& post) {
  for (const auto& [id, job] : desk_.jobs()) {
    if (!job.open || job.state != JobState::running || job.spec.share.deadline == 0) continue;
    const double seconds_left =
        static_cast<double>(job.spec.share.deadline) - static_cast<double>(moment.unix_seconds);
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
  for (const auto& peer : gone.peers)
    emit(gone.removed ? coordinator_.key_removed(peer, moment.now)
                      : coordinator_.peer_gone(peer, moment.now),
         post);
}

void CoordinatorRoom::on(Offer& offer, const Moment& moment, Post& post) {
  if (!offer.withdrawn.empty())
    emit(coordinator_.withdrawn(offer.job, offer.withdrawn, moment.now), post);
  // Of all that leave, so that a supervisor that crashes leaves no number to be given again.
  if (coordinator::JobEntry* job = desk_.find(offer.job); job != nullptr)
    for (const OfferedCall& call : offer.calls)
      job->next_call = std::max(job->next_call, call.planned.call.value + 1);
  if (!offer.calls.empty())
    emit(coordinator_.offered(offer.job, std::move(offer.calls), moment.now), post);
}

void CoordinatorRoom::on(Granted& granted, const Moment& moment, Post& post) {
  emit(coordinator_.granted(granted, moment.now), post);
  for (const BudgetStop& stop : granted.stops) {
    const coordinator::JobEntry* job = desk_.find(stop.job);
    // One that was said before the budget was raised says nothing of the new one.
    if (job == nullptr || job->state != JobState::running ||
        job->spec.limits.budget_usd.nano != stop.cap)
      continue;
    hold(job->id, moment, post);
    std::string why = why_stopped(stop);
    if (!flat_)
      why += fmt::format("; `gristmill resume {} --budget-usd USD` goes on with more",
                         to_string(job->id));
    change(job->id, {JobState::paused, JobReason::budget, std::move(why)}, 0, moment, post);
  }
}

void CoordinatorRoom::on(DiskFull& full, const Moment&, Post& post) {
  journal_full_ = std::move(full.sentence);
  if (journal_full_.empty()) post.events.push_back({"journal.goes_on", {}});
}

void CoordinatorRoom::on(RoomClosed& closed, const Moment& moment, Post& post) {
  room_gone(closed.room, moment, post);
}

// A job's room that crashed parks its job; the others go on.
void CoordinatorRoom::on(RoomCrashed& crashed, const Moment& moment, Post& post) {
  room_gone(crashed.room, moment, post);
  explain_no_items(crashed.room.job, moment, post);
  change(crashed.room.job,
         {JobState::failed, JobReason::internal,
          fmt::format("internal error in {}: {}", name_of(crashed.room), crashed.what)},
         0, moment, post);
}

void CoordinatorRoom::measure(Sizes& sizes) const {
  coordinator_.measure(sizes);
  sizes["desk.jobs"] = desk_.size();
  sizes["desk.money"] = money_.size();
  sizes["desk.learned"] = learned_.size();
  sizes["desk.closed"] = closed_.size();
  sizes["desk.reopening"] = reopening_.size();
  sizes["desk.reading"] = reading_.size();
  sizes["desk.rooms"] = rooms_.size();
  sizes["desk.late questions"] = late_.size();
  sizes["desk.probe waits"] = probe_wait_.size();
  sizes["desk.full merges"] = merge_full_.size();
  sizes["desk.explaining"] = explaining_.size();
  sizes["desk.merging again"] = merging_again_.size();
  sizes["desk.reasons"] = wait_news_.size();
  sizes["desk.on probation"] = on_probation_.size();
}

JobView CoordinatorRoom::view(const coordinator::JobEntry& job, const Moment& moment) const {
  const Time now = moment.now;
  JobView view{job.id, job.state, job.reason, job.detail, job.counts};
  view.created_at = job.created_at;
  view.ended_at = job.ended_at;
  view.output = output_path_(job.id, job.spec);
  view.budget_usd = job.spec.limits.budget_usd;
  view.weight = job.spec.share.weight;
  view.priority = job.spec.share.priority;
  view.deadline = static_cast<std::int64_t>(job.spec.share.deadline);
  view.counts.in_flight = coordinator_.in_flight(job.id);
  view.errors = job.errors;
  if (is_over(job.state)) return view;
  view.urgent = coordinator_.share_of(job.id).priority == coordinator::urgent_priority;
  const std::string& full = full_disk_of(job.id);
  if (WaitReason reason = reason_of(job, now); is_waiting(reason.kind, view.counts.in_flight)) {
    view.waiting_for = reason.kind;
    view.waiting_at = reason.endpoint;
    Explanation why = explain(job, std::move(reason), moment);
    view.why_waiting = std::move(why.sentence);
    view.waiting_s = why.since_s;
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
  note_probation(post);
}

} // namespace gristmill::wiring
