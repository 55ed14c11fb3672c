// The rooms of one job: SUPERVISOR and MERGER.
#include "actors/wiring/rooms.hpp"

#include "actors/journal/passing.hpp"
#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/rules/by_reference.hpp"
#include "protocol/rules/cache_scope.hpp"

#include <algorithm>
#include <map>

namespace gristmill::wiring {
namespace {

constexpr auto report_every = std::chrono::milliseconds{100};
constexpr auto errors_noted_every = std::chrono::seconds{1};
constexpr auto full_merge_again_after = std::chrono::seconds{5};
constexpr auto open_again_after = std::chrono::seconds{1};
constexpr auto join_again_after = std::chrono::seconds{1};

template <class T> void append_to(std::vector<T>& into, std::vector<T>&& from) {
  std::move(from.begin(), from.end(), std::back_inserter(into));
}

// Several answers of the supervisor to one message leave as one.
void add(supervisor::Effects& into, supervisor::Effects&& from) {
  append_to(into.offers, std::move(from.offers));
  append_to(into.withdrawn, std::move(from.withdrawn));
  append_to(into.append.lines, std::move(from.append.lines));
  append_to(into.append.parts, std::move(from.append.parts));
  append_to(into.append.attempts, std::move(from.append.attempts));
  append_to(into.append.acks, std::move(from.append.acks));
  append_to(into.joins, std::move(from.joins));
  append_to(into.look_ups, std::move(from.look_ups));
  supervisor::DurableLines& durable = into.append.durable;
  durable.completed += from.append.durable.completed;
  durable.failed += from.append.durable.failed;
  durable.parts += from.append.durable.parts;
  append_to(durable.levels, std::move(from.append.durable.levels));
  append_to(durable.answered, std::move(from.append.durable.answered));
  durable.cached_bytes += from.append.durable.cached_bytes;
  if (const journal::JobNote& more = from.append.note; more.job) {
    into.append.note.job = more.job;
    into.append.note.add(more);
  }
  into.append.all_read |= from.append.all_read;
  into.progress |= from.progress;
  into.all_terminal |= from.all_terminal;
  if (from.stop) into.stop = std::move(from.stop);
}

} // namespace

void SupervisorRoom::handle(Message message, const Moment& moment, Post& post) {
  const Time now = moment.now;
  if (auto* opened = std::get_if<OpenJob>(&message)) {
    counts_ = opened->recovered.counts;
    opening_ = std::make_unique<OpenJob>(std::move(*opened));
    if (options_.has_cache) cache_scope_ = cache_scope(opening_->spec);
    // Of equal requests that come while the first one is called the cache has no answer yet.
    opening_->spec.policy.dedupe |= !cache_scope_.empty();
    message = Tick{};
  }
  if (std::holds_alternative<CloseRoom>(message)) {
    post.closed = true;
    return;
  }
  if (const auto* explain = std::get_if<ExplainItems>(&message)) {
    answer(*explain, now, post);
    return;
  }
  if (opening_) return open(std::move(message), moment, post);
  if (!supervisor_) return; // its input could not be opened: the job has failed
  supervisor::Effects effects;
  if (auto* news = std::get_if<JobNews>(&message)) effects = hear(*news, now);
  if (const auto* lines = std::get_if<LinesDurable>(&message)) {
    effects = supervisor_->durable(lines->lines, now);
    keep_answers(lines->lines, post);
  }
  if (auto* joined = std::get_if<ItemsJoined>(&message))
    effects = supervisor_->joined(std::move(joined->items), joined->failure, now);
  if (auto* looked = std::get_if<LookedUpAnswers>(&message))
    effects = supervisor_->looked_up(std::move(*looked), now);
  if (std::holds_alternative<CancelItems>(message)) effects = supervisor_->cancel(now);
  if (const auto* appended = std::get_if<InputsAppended>(&message)) {
    append(appended->append);
    effects = supervisor_->input_grew(now);
  }
  if (std::holds_alternative<InputGrew>(message)) effects = supervisor_->input_grew(now);
  if (std::holds_alternative<PauseItems>(message)) effects = supervisor_->pause(now);
  if (const auto* resume = std::get_if<ResumeItems>(&message))
    effects = supervisor_->resume(now, resume->probing);
  if (std::holds_alternative<Tick>(message)) effects = supervisor_->tick(now);
  emit(std::move(effects), moment, post);
}

// While there is no descriptor for the input, the job waits, and what is told to it is heard later.
void SupervisorRoom::open(Message message, const Moment& moment, Post& post) {
  // It reads all that there is then.
  const bool is_of_use =
      !std::holds_alternative<Tick>(message) && !std::holds_alternative<InputGrew>(message);
  if (is_of_use) early_.push_back(std::move(message));
  emit(moment.now < open_again_at_ ? supervisor::Effects{} : open_now(moment.now), moment, post);
  if (opening_) {
    post.wake_at = open_again_at_;
    return;
  }
  for (Message& early : std::exchange(early_, {})) handle(std::move(early), moment, post);
}

supervisor::Effects SupervisorRoom::open_now(Time now) {
  supervisor::Effects effects;
  std::string must_wait;
  const auto opened = open_files();
  if (opened) {
    effects = supervisor_->started(now);
    must_wait = supervisor_->must_wait();
  } else if (opened.error().code == ErrorCode::unavailable) {
    must_wait = opened.error().message;
  } else {
    effects.stop = StateChange{JobState::failed, JobReason::input, opened.error().message};
  }
  if (must_wait.empty()) {
    opening_.reset();
    return effects;
  }
  supervisor_.reset();
  source_.reset();
  cannot_open_.kind = WaitKind::reading;
  cannot_open_.because = "its input cannot be opened now and is tried again: " + must_wait;
  cannot_open_.until = open_again_at_ = now + open_again_after;
  return {};
}

// What the job reads, and then who supervises it.
Result<> SupervisorRoom::open_files() {
  auto tokenizer = options_.open_tokenizer(opening_->spec);
  GRISTMILL_TRY(tokenizer);
  const bool is_begun = opening_->recovered.mark > 0;
  if (is_begun && mutated("tokenizer_is_forgotten")) tokenizer->reset();
  auto source = options_.open_source(opening_->spec);
  GRISTMILL_TRY(source);
  source_ = std::move(*source);
  appends_ = 0;
  const bool by_reference =
      !options_.shared.word.empty() && why_by_value(opening_->spec, false).empty();
  for (const journal::AppendNote& note : opening_->recovered.appends) append(note);
  if (opening_->recovered.is_closed) source_->close();
  supervisor_ = std::make_unique<supervisor::Supervisor>(
      supervisor::SupervisedJob{job_, epoch_, opening_->spec, options_.pools, std::move(*tokenizer),
                                by_reference},
      *source_, opening_->recovered, options_.part_plan);
  return {};
}

// What the journal told when the job was opened may be told again.
void SupervisorRoom::append(const journal::AppendNote& note) {
  if (note.closes()) return source_->close();
  if (note.number <= appends_) return;
  appends_ = note.number;
  source_->append(note.inputs);
}

WaitReason SupervisorRoom::waiting(Time now) const {
  if (supervisor_) return supervisor_->why_waiting(now);
  return opening_ ? cannot_open_ : WaitReason{};
}

void SupervisorRoom::answer(const ExplainItems& explain, Time now, Post& post) {
  ItemsExplained known{job_, explain.token, waiting(now), {}};
  if (opening_) post.wake_at = open_again_at_;
  if (supervisor_) {
    if (explain.item) known.item = supervisor_->standing(*explain.item, now);
    post.wake_at = supervisor_->wake_at();
  }
  if (report_due_) post.wake_at = std::min(post.wake_at, reported_at_ + report_every);
  if (supervisor_ && supervisor_->errors().has_unnoted())
    post.wake_at = std::min(post.wake_at, errors_noted_at_ + errors_noted_every);
  post.tell(to_coordinator, std::move(known));
}

supervisor::Effects SupervisorRoom::hear(JobNews& news, Time now) {
  supervisor::Effects effects;
  if (!news.claims.empty()) add(effects, supervisor_->claimed(news.claims, now));
  if (!news.packs.empty()) add(effects, supervisor_->pack_sizes(news.packs, now));
  if (!news.kept.empty()) add(effects, supervisor_->kept(news.kept, now));
  if (!news.outcomes.empty())
    add(effects, supervisor_->outcomes(std::move(news.outcomes), now, random_));
  if (!news.returned.empty()) add(effects, supervisor_->returned(news.returned, now));
  if (!news.lost.empty()) add(effects, supervisor_->lost(news.lost, now));
  if (!news.begun.empty()) add(effects, supervisor_->begun(news.begun, now));
  if (news.charged) add(effects, supervisor_->charged(news.charged));
  if (news.grace_over) add(effects, supervisor_->grace_over(now, news.untold_calls));
  for (const StreamRoom& room : news.room)
    add(effects, supervisor_->wanted(room.stream, room.calls, room.bytes, now));
  return effects;
}

void SupervisorRoom::emit(supervisor::Effects effects, const Moment& moment, Post& post) {
  const Time now = moment.now;
  if (!effects.offers.empty() || !effects.withdrawn.empty())
    post.tell(to_coordinator, Offer{job_, std::move(effects.offers), std::move(effects.withdrawn)});
  if (!effects.joins.empty()) post.tell(to_joiner, JoinItems{job_, std::move(effects.joins)});
  if (!effects.look_ups.empty())
    post.tell(to_joiner, LookUpAnswers{job_, std::move(effects.look_ups), cache_scope_});
  supervisor::Append& append = effects.append;
  if (!append.empty()) {
    AppendNow now_durable;
    now_durable.part.lines = std::move(append.lines);
    now_durable.part.parts = std::move(append.parts);
    now_durable.part.attempts = std::move(append.attempts);
    now_durable.part.notes.push_back(append.note);
    const bool repeated = now_durable.part.lines.empty() && now_durable.part.parts.empty() &&
                          now_durable.part.attempts.empty();
    const bool too_early =
        mutated("ack_before_journal") || (mutated("dup_ack_overtakes_commit") && repeated);
    if (!append.durable.empty())
      (mutated("count_before_durable") ? post.envelopes : now_durable.release)
          .push_back({to_supervisor(job_), LinesDurable{std::move(append.durable)}});
    std::map<SessionId, std::vector<AttemptId>> recorded;
    for (const supervisor::Ack& ack : append.acks) recorded[ack.session].push_back(ack.attempt);
    for (auto& [session, attempts] : recorded)
      (too_early ? post.envelopes : now_durable.release)
          .push_back({to_coordinator, RecordedNow{session, std::move(attempts)}});
    post.tell(to_journal, std::move(now_durable));
  }
  report_due_ |= effects.progress;
  if (supervisor_) supervisor_->errors().stamp(moment.unix_seconds);
  report_due_ |= supervisor_ && supervisor_->errors().has_news();
  const WaitReason waiting = this->waiting(now);
  report_due_ |= !same_to_people(waiting, reported_waiting_);
  const std::uint64_t failing = supervisor_ ? supervisor_->outage().calls() : 0;
  report_due_ |= failing != reported_failing_;
  const bool final = effects.all_terminal || effects.stop;
  if (supervisor_) note_errors(final, now, post);
  if (final || (report_due_ && now >= reported_at_ + report_every)) {
    post.tell(to_coordinator,
              JobReport{job_, supervisor_ ? supervisor_->counts() : counts_, effects.all_terminal,
                        std::move(effects.stop), waiting,
                        supervisor_ ? supervisor_->items_left() : 0,
                        supervisor_ ? supervisor_->errors().news() : nullptr,
                        supervisor_ ? supervisor_->outage().since(now) : std::nullopt});
    report_due_ = false;
    reported_waiting_ = waiting;
    reported_failing_ = failing;
    reported_at_ = now;
  }
  if (supervisor_) post.wake_at = supervisor_->wake_at();
  if (report_due_) post.wake_at = std::min(post.wake_at, reported_at_ + report_every);
  if (supervisor_ && supervisor_->errors().has_unnoted())
    post.wake_at = std::min(post.wake_at, errors_noted_at_ + errors_noted_every);
}

void SupervisorRoom::keep_answers(const supervisor::DurableLines& lines, Post& post) {
  if (cache_scope_.empty()) return;
  AnswersDurable durable{job_, {}, cache_scope_};
  for (const AskedRequest& request : lines.answered)
    if (request.for_others) durable.keys.push_back(request.key);
  if (!durable.keys.empty()) post.tell(to_joiner, std::move(durable));
}

// A crash forgets at most what was met within the last second; what ended items is in their lines.
void SupervisorRoom::note_errors(bool final, Time now, Post& post) {
  if (!supervisor_->errors().has_unnoted()) return;
  if (!final && now < errors_noted_at_ + errors_noted_every) return;
  errors_noted_at_ = now;
  AppendNow append;
  for (CountedError& error : supervisor_->errors().take_unnoted())
    append.part.errors.push_back({job_, std::move(error)});
  post.tell(to_journal, std::move(append));
}

void JoinerRoom::handle(Message message, const Moment& moment, Post& post) {
  if (!joiner_) return; // nobody divides items
  if (auto* asked = std::get_if<LookUpAnswers>(&message)) look_up(*asked, post);
  if (const auto* durable = std::get_if<AnswersDurable>(&message)) keep(*durable, post);
  if (auto* join = std::get_if<JoinItems>(&message))
    joiner_->join(join->job, std::move(join->items));
  joiner::JoinStep step = joiner_->step();
  const bool again = step.failure && journal::passes(step.failure->code);
  std::string failure = step.failure && !again ? std::move(step.failure->message) : "";
  if (!step.items.empty() || !failure.empty())
    post.tell(to_supervisor(step.job), ItemsJoined{std::move(step.items), std::move(failure)});
  if (step.more) post.wake_at = again ? moment.now + join_again_after : Time::min();
}

void JoinerRoom::look_up(LookUpAnswers& asked, Post& post) {
  LookedUpAnswers answers = joiner::look_up(*lines_, asked.job, std::move(asked.asked));
  const bool may_be_cached =
      !asked.scope.empty() && std::ranges::any_of(answers.found, [](const LookedUp& looked) {
        return !looked.answer && looked.asked.request.for_others;
      });
  if (may_be_cached && !mutated("cache_is_not_asked"))
    post.tell(to_cache, FindAnswers{asked.job, std::move(answers), std::move(asked.scope)});
  else
    post.tell(to_supervisor(asked.job), std::move(answers));
}

// Without a bound of its own: these lines were one group of the journal.
void JoinerRoom::keep(const AnswersDurable& durable, Post& post) {
  KeepAnswers keep{joiner::answers_to_keep(*lines_, durable.job, durable.keys, durable.scope)};
  if (!keep.answers.empty()) post.tell(to_cache, std::move(keep));
}

void MergerRoom::handle(Message message, const Moment& moment, Post& post) {
  if (std::holds_alternative<CloseRoom>(message)) {
    post.closed = true;
    return;
  }
  if (auto* task = std::get_if<merger::MergeTask>(&message)) task_ = std::move(*task);
  if (!task_) return;
  if (!merger_) return begin(moment.now, post);
  const merger::MergeStep step = merger_->step();
  if (!step.failure.empty()) return failed({step.code, step.failure}, moment.now, post);
  if (step.done) {
    task_.reset();
    merger_.reset();
    files_.reset();
    post.tell(to_coordinator, MergeReport{job_, "", false, step.errors});
  } else {
    post.wake_at = Time::min();
  }
}

void MergerRoom::begin(Time now, Post& post) {
  if (!files_) {
    auto files = options_.open_merge(job_, task_->spec);
    if (!files) return failed(files.error(), now, post);
    files_ = std::move(*files);
  }
  merger_ = std::make_unique<merger::Merger>(*task_, *files_);
  post.wake_at = Time::min();
}

// The segments stand, so merging can begin anew as often as it takes.
void MergerRoom::failed(const Error& error, Time now, Post& post) {
  merger_.reset();
  if (!mutated("merge_not_idempotent"))
    files_.reset(); // what it holds on disk is not kept while the job waits
  const bool again = journal::passes(error.code);
  post.tell(to_coordinator, MergeReport{job_, error.message, again});
  if (again)
    post.wake_at = now + full_merge_again_after;
  else
    task_.reset();
}

} // namespace gristmill::wiring
