#include "actors/wiring/coordinator_room.hpp"

#include "actors/kit/mutant.hpp"
#include "actors/wiring/rooms.hpp"
#include "protocol/rules/served.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::wiring {
namespace {

constexpr auto tick_every = std::chrono::milliseconds{500};

coordinator::Options options_of(const NodeOptions& options, const journal::Recovered& recovered) {
  return {recovered.epoch,      options.cluster, recovered.sessions, options.pools,
          options.workers_died, options.shared,  options.has_cache};
}

Answer answer_to(std::uint64_t token) {
  Answer answer;
  answer.token = token;
  return answer;
}

void refuse(std::uint64_t token, Error error, Post& post) {
  Answer answer = answer_to(token);
  answer.error = std::move(error);
  post.tell(to_client, std::move(answer));
}

Address address_of(JobId job, jobs::JobRoom room) {
  return room == jobs::JobRoom::supervisor ? to_supervisor(job) : to_merger(job);
}
jobs::JobRoom room_at(const Address& address) {
  if (address.recipient == Recipient::supervisor) return jobs::JobRoom::supervisor;
  return address.recipient == Recipient::merger ? jobs::JobRoom::merger : jobs::JobRoom::joiner;
}

// What the job's supervisor begins with.
supervisor::RecoveredItems items_of(jobs::Open& open, const jobs::JobEntry& job) {
  journal::RecoveredJob& content = open.kept.content;
  supervisor::RecoveredItems items;
  items.terminal = std::move(content.terminal);
  items.parts = {std::move(content.parts), std::move(content.attempts)};
  items.counts = content.counts;
  items.low = content.low;
  items.mark = content.mark;
  items.may_have_called = open.kept.may_have_called;
  items.calls_at_once = open.kept.calls_at_once;
  items.next_call = job.next_call;
  if (job.errors) items.errors = *job.errors;
  items.outage = open.outage;
  items.appends = std::move(content.appends);
  items.is_closed = content.is_closed && !mutated("close_is_forgotten");
  return items;
}

} // namespace

CoordinatorRoom::CoordinatorRoom(const NodeOptions& options, journal::Recovered recovered, Time now)
    : coordinator_{options_of(options, recovered), now},
      desk_{{options.flat, !recovered.sessions.empty(), options.workers_died, options.pools}},
      output_path_{options.output_path}, has_shared_{!options.shared.word.empty()} {
  desk_.was_forgotten(recovered.last_forgotten);
  for (journal::RecoveredJob& job : recovered.jobs) desk_.recovered(std::move(job), now);
}

void CoordinatorRoom::handle(Message message, const Moment& moment, Post& post) {
  std::visit(
      [&](auto& m) {
        if constexpr (requires { on(m, moment, post); }) on(m, moment, post);
      },
      message);
  // Not an interval since the last message: a busy room would never hear its alarm.
  if (moment.now >= next_tick_) {
    tick(moment, post);
    next_tick_ = moment.now + tick_every;
  }
  if (moment.now >= coordinator_.speaks_at()) emit(coordinator_.speak(moment.now), moment, post);
  post.wake_at = std::min(next_tick_, coordinator_.speaks_at());
}

void CoordinatorRoom::tick(const Moment& moment, Post& post) {
  emit(coordinator_.tick(moment.now), moment, post);
  emit(desk_.tick(moment), moment, post);
  for (const auto& [id, job] : desk_.lives().book().jobs()) {
    if (!job.open || is_over(job.state)) continue;
    for (Event& event : desk_.waits(id, standing(job, moment.now), moment))
      post.events.push_back(std::move(event));
  }
}

void CoordinatorRoom::on(Start&, const Moment& moment, Post& post) {
  emit(desk_.money_assumed(), moment, post);
  emit(coordinator_.started(), moment, post);
  emit(desk_.started(moment), moment, post);
}

void CoordinatorRoom::on(FramesIn& in, const Moment& moment, Post& post) {
  emit(coordinator_.received(in.frames, moment.now), moment, post);
  SendFrames consumed;
  for (const auto& frame : in.frames) consumed.consumed_bytes += frame.bytes.size();
  post.tell(to_gateway, std::move(consumed));
}

void CoordinatorRoom::on(PeersGone& gone, const Moment& moment, Post& post) {
  for (const auto& peer : gone.peers)
    emit(gone.removed ? coordinator_.key_removed(peer, moment.now)
                      : coordinator_.peer_gone(peer, moment.now),
         moment, post);
}

void CoordinatorRoom::on(Offer& offer, const Moment& moment, Post& post) {
  if (!offer.withdrawn.empty())
    emit(coordinator_.withdrawn(offer.job, offer.withdrawn, moment.now), moment, post);
  if (offer.calls.empty()) return;
  // Of all that leave, so that a supervisor that crashes leaves no number to be given again.
  CallId last;
  for (const OfferedCall& call : offer.calls) last = std::max(last, call.planned.call);
  desk_.offered(offer.job, last);
  emit(coordinator_.offered(offer.job, std::move(offer.calls), moment.now), moment, post);
}

void CoordinatorRoom::on(Granted& granted, const Moment& moment, Post& post) {
  emit(coordinator_.granted(granted, moment.now), moment, post);
  for (const BudgetStop& stop : granted.stops) emit(desk_.budget_spent(stop, moment), moment, post);
}

void CoordinatorRoom::on(PacksTold& told, const Moment& moment, Post& post) {
  emit(coordinator_.packs_told(told.news), moment, post);
}

void CoordinatorRoom::on(SessionDurable& durable, const Moment& moment, Post& post) {
  emit(coordinator_.session_durable(durable.session, moment.now), moment, post);
}

void CoordinatorRoom::on(RecordedNow& recorded, const Moment& moment, Post& post) {
  emit(coordinator_.recorded(recorded.session, recorded.attempts, moment.now), moment, post);
}

void CoordinatorRoom::on(SharedChecked& checked, const Moment& moment, Post& post) {
  emit(coordinator_.shared_checked(checked.session, checked.why_not, moment.now), moment, post);
}

void CoordinatorRoom::on(DiskFull& full, const Moment&, Post& post) {
  if (full.sentence.empty()) post.events.push_back({"journal.goes_on", {}});
  desk_.journal_full(std::move(full.sentence));
}

void CoordinatorRoom::on(RoomClosed& closed, const Moment& moment, Post& post) {
  emit(desk_.room_gone(closed.room.job, room_at(closed.room), moment), moment, post);
}

void CoordinatorRoom::on(RoomCrashed& crashed, const Moment& moment, Post& post) {
  const JobId job = crashed.room.job;
  std::string why = fmt::format("internal error in {}: {}", name_of(crashed.room), crashed.what);
  emit(desk_.room_crashed(job, room_at(crashed.room), std::move(why), moment), moment, post);
  // With it the answers that it owed are gone.
  std::erase_if(explaining_, [&](const auto& entry) {
    if (entry.second != job) return false;
    refuse(entry.first, {ErrorCode::internal, fmt::format("{} has just failed", to_string(job))},
           post);
    return true;
  });
}

void CoordinatorRoom::on(JobDurable& durable, const Moment& moment, Post& post) {
  emit(desk_.durable(durable, moment), moment, post);
}

void CoordinatorRoom::on(JobForgotten& forgotten, const Moment& moment, Post& post) {
  emit(desk_.forgotten(forgotten), moment, post);
}

void CoordinatorRoom::on(InputsDurable& durable, const Moment& moment, Post& post) {
  emit(desk_.inputs_durable(std::move(durable)), moment, post);
}

void CoordinatorRoom::on(JobRead& read, const Moment& moment, Post& post) {
  emit(desk_.read(std::move(read), moment), moment, post);
}

void CoordinatorRoom::on(JobReport& report, const Moment& moment, Post& post) {
  emit(desk_.reported(std::move(report), moment), moment, post);
}

void CoordinatorRoom::on(MergeReport& report, const Moment& moment, Post& post) {
  emit(desk_.merged(std::move(report), moment), moment, post);
}

template <>
void CoordinatorRoom::answer(const ListJobs& list, std::uint64_t token, const Moment& moment,
                             Post& post) {
  Answer answer = answer_to(token);
  const jobs::JobPage page = desk_.lives().book().page(list);
  for (const jobs::JobEntry* job : page.jobs) answer.jobs.push_back(view(*job, moment));
  answer.more = page.more;
  post.tell(to_client, std::move(answer));
}

template <>
void CoordinatorRoom::answer(const ShowJob& show, std::uint64_t token, const Moment& moment,
                             Post& post) {
  const auto job = desk_.lives().book().named(show.job);
  if (!job) return refuse(token, job.error(), post);
  Answer answer = answer_to(token);
  answer.jobs.push_back(view(**job, moment));
  post.tell(to_client, std::move(answer));
}

template <>
void CoordinatorRoom::answer(const ShowReady&, std::uint64_t token, const Moment&, Post& post) {
  const std::string& full = desk_.lives().full_disk();
  if (!full.empty()) return refuse(token, {ErrorCode::unavailable, full}, post);
  post.tell(to_client, answer_to(token));
}

template <>
void CoordinatorRoom::answer(const ListWorkers&, std::uint64_t token, const Moment&, Post& post) {
  Answer answer = answer_to(token);
  answer.workers = coordinator_.sessions().workers();
  post.tell(to_client, std::move(answer));
}

// The limiter adds what it knows, and answers.
template <>
void CoordinatorRoom::answer(const ListPools& list, std::uint64_t token, const Moment& moment,
                             Post& post) {
  const std::map<EndpointId, std::string> announcers = coordinator_.sessions().announcers();
  post.tell(to_limiter,
            ShowPools{token, coordinator_.endpoints().pools(list.of_jobs, announcers, moment.now,
                                                            moment.unix_seconds)});
}

template <>
void CoordinatorRoom::answer(const DrainWorker& drain, std::uint64_t token, const Moment& moment,
                             Post& post) {
  Answer answer = answer_to(token);
  emit(coordinator_.drain(drain.worker, answer.workers, moment.now), moment, post);
  if (answer.workers.empty())
    return refuse(
        token,
        {ErrorCode::not_found, fmt::format("there is no worker {}; `gristmill workers` lists them",
                                           json::printable(drain.worker, 100))},
        post);
  post.tell(to_client, std::move(answer));
}

// The job's supervisor says what it knows of its items, then COORDINATOR what it knows of their
// calls.
template <>
void CoordinatorRoom::answer(const ExplainJob& explain, std::uint64_t token, const Moment& moment,
                             Post& post) {
  const JobId id = explain.job;
  const auto job = desk_.lives().book().named(id);
  if (!job) return refuse(token, job.error(), post);
  if (!is_over((*job)->state) && desk_.lives().has_room(id, jobs::JobRoom::supervisor)) {
    explaining_.emplace(token, id);
    return post.tell(to_supervisor(id), ExplainItems{token, explain.item});
  }
  Answer answer = answer_to(token);
  answer.explanation = why_waiting(**job, moment);
  if (explain.item) answer.explanation->item = explain.item->id;
  post.tell(to_client, std::move(answer));
}

void CoordinatorRoom::on(Ask& ask, const Moment& moment, Post& post) {
  if (const auto* submit = std::get_if<SubmitJob>(&ask.question))
    if (std::string refused = coordinator_.endpoints().why_refused(submit->spec); !refused.empty())
      return refuse(ask.token, {ErrorCode::usage, std::move(refused)}, post);
  std::visit(
      [&](auto& question) {
        if constexpr (requires { jobs::Question{std::move(question)}; })
          emit(desk_.asked(std::move(question), ask.token, moment), moment, post);
        else
          answer(std::as_const(question), ask.token, moment, post);
      },
      ask.question);
}

void CoordinatorRoom::on(ItemsExplained& known, const Moment& moment, Post& post) {
  if (explaining_.erase(known.token) == 0) return; // answered without it
  desk_.supervisor_waits(known.job, std::move(known.waiting));
  const jobs::JobEntry* job = desk_.lives().find(known.job);
  if (job == nullptr)
    return refuse(known.token, {ErrorCode::not_found, "the job is forgotten"}, post);
  Answer answer = answer_to(known.token);
  answer.explanation = why_waiting(*job, moment);
  if (!known.item) return post.tell(to_client, std::move(answer));
  supervisor::ItemStanding& item = *known.item;
  if (!item.reason && !item.call)
    return refuse(
        known.token,
        {ErrorCode::not_found, fmt::format("{} has no item {}: its last one is {}",
                                           to_string(job->id), *item.item + 1, job->counts.total)},
        post);
  if (item.call) item.reason = coordinator_.standing(job->id, item.call, moment.now);
  WaitReason why = jobs::why_item_waits(std::move(item.reason), answer.explanation->reason);
  jobs::MetError met = met_at(why, moment.now);
  answer.explanation = jobs::explained_item(*job, std::move(why), std::move(met), moment);
  answer.explanation->item = std::move(item.id);
  answer.explanation->number = item.item;
  post.tell(to_client, std::move(answer));
}

Explanation CoordinatorRoom::why_waiting(const jobs::JobEntry& job, const Moment& moment) const {
  WaitReason why = jobs::why_waiting(job, desk_.lives().full_disk(job.id), job.waiting,
                                     coordinator_.why_waiting(job.id, moment.now));
  jobs::MetError met = met_at(why, moment.now);
  Explanation explanation = jobs::explained(job, std::move(why), std::move(met), moment);
  if (has_shared_ && !is_over(job.state))
    explanation.sentence += jobs::how_texts_travel(coordinator_.why_by_value(job.spec));
  return explanation;
}

jobs::MetError CoordinatorRoom::met_at(const WaitReason& reason, Time now) const {
  jobs::MetError met;
  if (!jobs::is_of_endpoint(reason.kind)) return met;
  const coordinator::EndpointErrors* errors = coordinator_.endpoints().errors_at(reason.endpoint);
  if (errors == nullptr) return met;
  const bool failed = errors->last_failure().has_value();
  met.error = failed ? errors->last_failure() : *errors->last();
  met.error_age_s = to_seconds(now - (failed ? errors->last_failure_at() : errors->last_at()));
  if (errors->failing_since() != never) met.failing_s = to_seconds(now - errors->failing_since());
  return met;
}

jobs::JobStanding CoordinatorRoom::standing(const jobs::JobEntry& job, Time now) const {
  jobs::JobStanding standing;
  standing.in_flight = coordinator_.sessions().in_flight(job.id);
  if (is_over(job.state)) return standing;
  standing.urgent =
      coordinator_.dispatch().share_of(job.id).priority == coordinator::urgent_priority;
  standing.reason = coordinator_.why_waiting(job.id, now);
  standing.at_endpoint = met_at(standing.reason, now);
  return standing;
}

JobView CoordinatorRoom::view(const jobs::JobEntry& job, const Moment& moment) const {
  return jobs::view_of(job, standing(job, moment.now), desk_.lives().full_disk(job.id),
                       output_path_(job.id, job.spec), moment);
}

void CoordinatorRoom::measure(Sizes& sizes) const {
  coordinator_.measure(sizes);
  desk_.measure(sizes);
  sizes["desk.explaining"] = explaining_.size();
}

void CoordinatorRoom::emit(jobs::Effects effects, const Moment& moment, Post& post) {
  std::move(effects.events.begin(), effects.events.end(), std::back_inserter(post.events));
  for (jobs::Effect& effect : effects.list)
    std::visit([&](auto& wanted) { tell(wanted, moment, post); }, effect);
}

void CoordinatorRoom::tell(jobs::Append& append, const Moment&, Post& post) {
  AppendNow now;
  now.part = std::move(append.part);
  if (append.then)
    std::visit(
        [&](auto& then) {
          using Then = std::decay_t<decltype(then)>;
          bool too_early = false;
          if constexpr (std::is_same_v<Then, JobDurable>)
            too_early = then.changed && mutated("job_told_before_durable");
          (too_early ? post.envelopes : now.release)
              .push_back({std::is_same_v<Then, ReadJob> ? to_store : to_coordinator, then});
        },
        *append.then);
  post.tell(to_journal, std::move(now));
}

void CoordinatorRoom::tell(jobs::Refuse& refused, const Moment&, Post& post) {
  refuse(refused.token, std::move(refused.error), post);
}

void CoordinatorRoom::tell(jobs::Show& show, const Moment& moment, Post& post) {
  answer(ShowJob{show.job}, show.token, moment, post);
}

void CoordinatorRoom::tell(jobs::ShowForgotten& show, const Moment& moment, Post& post) {
  Answer answer = answer_to(show.token);
  answer.jobs.push_back(view(show.job, moment));
  answer.forgotten_inputs = files_of(show.job.spec);
  const std::vector<InputSpec>& appended = show.job.appends.inputs();
  answer.forgotten_inputs.insert(answer.forgotten_inputs.end(), appended.begin(), appended.end());
  post.tell(to_client, std::move(answer));
}

void CoordinatorRoom::tell(jobs::ShowAppended& show, const Moment& moment, Post& post) {
  if (show.token == 0) return;
  const jobs::JobEntry* job = desk_.lives().find(show.job);
  Answer answer = answer_to(show.token);
  answer.jobs.push_back(view(*job, moment));
  answer.appended = show.appended;
  post.tell(to_client, std::move(answer));
}

void CoordinatorRoom::tell(jobs::Feed& feed, const Moment&, Post& post) {
  const JobId job = feed.append.job;
  post.tell(to_supervisor(job), InputsAppended{std::move(feed.append)});
}

void CoordinatorRoom::tell(jobs::Open& open, const Moment& moment, Post& post) {
  const jobs::JobEntry& job = *desk_.lives().find(open.job);
  const coordinator::EarlierLives earlier{open.kept.content.mark, open.kept.money.assumed};
  JobBudget budget;
  budget.job = job.id;
  budget.limits = open.limits;
  budget.money = open.kept.money;
  budget.share = coordinator::own_share(job.spec);
  budget.learned = std::move(open.kept.content.learned);
  post.tell(to_supervisor(job.id), OpenJob{job.spec, items_of(open, job)});
  auto effects = coordinator_.job_opened(job.id, job.spec, budget.endpoints, moment.now, earlier);
  LimiterNews news;
  news.endpoints_added = std::exchange(effects.endpoints_added, {});
  news.jobs_opened.push_back(std::move(budget));
  post.tell(to_limiter, std::move(news));
  emit(std::move(effects), moment, post);
}

void CoordinatorRoom::tell(jobs::Limit& limit, const Moment&, Post& post) {
  LimiterNews news;
  news.jobs_changed.emplace_back(limit.job, limit.limits);
  post.tell(to_limiter, std::move(news));
}

void CoordinatorRoom::tell(jobs::Cancel& cancel, const Moment&, Post& post) {
  post.tell(to_supervisor(cancel.job), CancelItems{});
}

void CoordinatorRoom::tell(jobs::Pause& pause, const Moment&, Post& post) {
  post.tell(to_supervisor(pause.job), PauseItems{});
}

void CoordinatorRoom::tell(jobs::Hold& hold, const Moment& moment, Post& post) {
  emit(coordinator_.job_held(hold.job, moment.now), moment, post);
}

void CoordinatorRoom::tell(jobs::Resume& resume, const Moment& moment, Post& post) {
  LimiterNews news;
  news.jobs_resumed.push_back({resume.job, resume.cap});
  post.tell(to_limiter, std::move(news));
  post.tell(to_supervisor(resume.job), ResumeItems{resume.probing});
  emit(coordinator_.job_released(resume.job, moment.now), moment, post);
}

void CoordinatorRoom::tell(jobs::Hurry& hurry, const Moment& moment, Post& post) {
  emit(coordinator_.mind_deadline(hurry.job, hurry.items_left, hurry.seconds_left), moment, post);
}

void CoordinatorRoom::tell(jobs::Merge& merge, const Moment&, Post& post) {
  const jobs::JobEntry& job = *desk_.lives().find(merge.job);
  post.tell(to_merger(job.id),
            merger::MergeTask{job.id, job.spec, job.counts, job.created_at, merge.ended_at,
                              merge.cancelled, job.errors ? *job.errors : ErrorList{}});
}

void CoordinatorRoom::tell(jobs::CloseRoom& close, const Moment&, Post& post) {
  post.tell(address_of(close.job, close.room), CloseRoom{});
}

void CoordinatorRoom::tell(jobs::Close& close, const Moment& moment, Post& post) {
  // What its room did not record stays with workers that would keep it for ever.
  if (close.failed) emit(coordinator_.job_failed(close.job), moment, post);
  emit(coordinator_.job_closed(close.job, moment.now), moment, post);
  LimiterNews news;
  news.jobs_closed.push_back(close.job);
  post.tell(to_limiter, std::move(news));
}

void CoordinatorRoom::emit(coordinator::Effects effects, const Moment& moment, Post& post) {
  if (!effects.frames.empty()) post.tell(to_gateway, SendFrames{std::move(effects.frames), 0});
  for (auto& [id, news] : effects.jobs) {
    const jobs::JobEntry* job = desk_.lives().find(id);
    if (job != nullptr && job->open) post.tell(to_supervisor(id), std::move(news));
  }
  LimiterNews news;
  news.endpoints_added = std::move(effects.endpoints_added);
  news.endpoints_gone = std::move(effects.endpoints_gone);
  news.claimed = std::move(effects.claimed);
  news.ended = std::move(effects.ended);
  news.acquires = std::move(effects.acquires);
  news.earlier_lives_told = effects.earlier_lives_told;
  news.shares_changed = std::move(effects.shares_changed);
  news.queues = std::move(effects.queues);
  if (!news.endpoints_added.empty() || !news.endpoints_gone.empty() || !news.claimed.empty() ||
      !news.ended.empty() || !news.acquires.empty() || news.earlier_lives_told ||
      !news.shares_changed.empty() || !news.queues.empty())
    post.tell(to_limiter, std::move(news));
  if (!effects.sessions.empty() || !effects.charged.empty()) {
    AppendNow append;
    for (const auto& [job, cost] : effects.charged) {
      journal::JobNote note;
      note.job = job;
      note.cost = cost;
      append.part.notes.push_back(std::move(note));
    }
    for (const auto& session : effects.sessions)
      if (session.open)
        (mutated("welcome_before_durable") ? post.envelopes : append.release)
            .push_back({to_coordinator, SessionDurable{session.session}});
    append.part.sessions = std::move(effects.sessions);
    post.tell(to_journal, std::move(append));
  }
  for (coordinator::SharedCheck& check : effects.shared_checks)
    post.tell(to_shared, CheckShared{std::move(check)});
  std::move(effects.events.begin(), effects.events.end(), std::back_inserter(post.events));
  note_probation(moment, post);
}

// Which item is out, so that the next life knows with which one we ended.
void CoordinatorRoom::note_probation(const Moment& moment, Post& post) {
  std::vector<journal::ProbationNote> out;
  for (const JobId job : desk_.lives().on_probation())
    if (const auto item = coordinator_.sessions().first_out(job)) out.push_back({job, *item});
  if (!out.empty()) emit(desk_.items_out(std::move(out)), moment, post);
}

} // namespace gristmill::wiring
