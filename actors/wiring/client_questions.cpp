// What clients ask of a coordinator node, and how it answers: at once, or when the change that they
// want is durable.
#include "actors/kit/mutant.hpp"
#include "actors/wiring/rooms.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::wiring {
namespace {

bool is_wanted(const std::vector<OutcomeClass>& classes, OutcomeClass cls) {
  return classes.empty() || std::find(classes.begin(), classes.end(), cls) != classes.end();
}

// Takes the failed items of these classes out of the terminal ones.
std::vector<journal::Reopened> reopened_of(JobId job, ClosedJob& content,
                                           const std::vector<OutcomeClass>& classes) {
  std::vector<journal::Reopened> reopened;
  for (const auto& [cls, items] : content.failed)
    if (is_wanted(classes, cls))
      items.for_each([&](std::uint64_t item) { reopened.push_back({job, item}); });
  std::sort(reopened.begin(), reopened.end(),
            [](const auto& a, const auto& b) { return a.item < b.item; });
  for (const auto& again : reopened) content.items.terminal.erase(again.item);
  if (mutated("retry_runs_completed_items")) content.items.terminal = {};
  content.items.counts.failed -= reopened.size();
  return reopened;
}

// The job that a question makes run again, merges again or forgets; none = it does none of that.
JobId begins_or_ends(const Ask& ask) {
  if (const auto* reopen = std::get_if<ReopenJob>(&ask.question)) return reopen->job;
  if (const auto* forget = std::get_if<ForgetJob>(&ask.question)) return forget->job;
  if (const auto* merge = std::get_if<MergeAgain>(&ask.question)) return merge->job;
  return {};
}

} // namespace

void CoordinatorRoom::on(Ask& ask, const Moment& moment, Post& post) {
  if (const JobId job = begins_or_ends(ask); job && is_ending(job)) {
    late_[job].push_back(std::move(ask));
    return;
  }
  std::visit([&](auto& question) { answer(question, ask.token, moment, post); }, ask.question);
}

// A job that is over has not ended before its rooms have: what they say last would be said of its
// next run, and what that reads would miss it.
bool CoordinatorRoom::is_ending(JobId id) const {
  if (mutated("room_forgotten_late")) return false;
  const coordinator::JobEntry* job = desk_.find(id);
  return job != nullptr && is_over(job->state) &&
         (job->open || rooms_.contains(to_supervisor(id)) || rooms_.contains(to_merger(id)));
}

void CoordinatorRoom::answer_late(JobId job, const Moment& moment, Post& post) {
  if (is_ending(job)) return;
  auto late = late_.extract(job);
  if (!late) return;
  for (Ask& ask : late.mapped()) on(ask, moment, post);
}

void CoordinatorRoom::refuse(std::uint64_t token, ErrorCode code, std::string sentence,
                             Post& post) {
  if (token == 0) return; // nobody asked
  post.tell(to_client, Answer{token, Error{code, std::move(sentence)}, {}, {}, {}, {}});
}

// The job that a question names; nullptr = there is none, and who asked has been told.
coordinator::JobEntry* CoordinatorRoom::asked(JobId id, std::uint64_t token, Post& post) {
  coordinator::JobEntry* job = desk_.find(id);
  if (job == nullptr)
    refuse(token, ErrorCode::not_found,
           fmt::format("there is no {}; `gristmill jobs` lists them", to_string(id)), post);
  return job;
}

void CoordinatorRoom::show(const coordinator::JobEntry& job, std::uint64_t token,
                           const Moment& moment, Post& post) {
  if (token == 0) return; // nobody asked
  post.tell(to_client, Answer{token, {}, {view(job, moment)}, {}, {}, {}});
}

void CoordinatorRoom::answer(SubmitJob& submit, std::uint64_t token, const Moment& moment,
                             Post& post) {
  if (std::string refused = coordinator_.why_refused(submit.spec); !refused.empty())
    return refuse(token, ErrorCode::usage, std::move(refused), post);
  auto stored = desk_.submit(std::move(submit.spec), moment.unix_seconds);
  if (!stored) return refuse(token, stored.error().code, stored.error().message, post);
  AppendNow append;
  append.release.push_back({to_coordinator, JobDurable{stored->job, JobState::running, token}});
  append.part.jobs.push_back(std::move(*stored));
  post.tell(to_journal, std::move(append));
}

void CoordinatorRoom::answer(const CancelJob& cancel, std::uint64_t token, const Moment& moment,
                             Post& post) {
  const coordinator::JobEntry* job = asked(cancel.job, token, post);
  if (job == nullptr) return;
  if (job->state != JobState::running && job->state != JobState::paused)
    return confirm(*job, token, post);
  change(job->id, {JobState::cancelling, JobReason::user, ""}, token, moment, post);
}

void CoordinatorRoom::answer(const PauseJob& pause, std::uint64_t token, const Moment& moment,
                             Post& post) {
  const coordinator::JobEntry* job = asked(pause.job, token, post);
  if (job == nullptr) return;
  // One that paused by itself to ask its endpoints later would go on by itself.
  const bool stands = job->state == JobState::paused && !coordinator::goes_on_to_probe(job->reason);
  if (stands) return confirm(*job, token, post);
  if (job->state != JobState::running && job->state != JobState::paused)
    return refuse(token, ErrorCode::conflict,
                  fmt::format("expected a job that is running, {} is {}", to_string(job->id),
                              name_of(job->state)),
                  post);
  hold(job->id, moment, post);
  change(job->id,
         {JobState::paused, JobReason::user,
          fmt::format("paused on request; `gristmill resume {}` goes on", to_string(job->id))},
         token, moment, post);
}

void CoordinatorRoom::answer(const ForgetJob& forget, std::uint64_t token, const Moment&,
                             Post& post) {
  const coordinator::JobEntry* job = asked(forget.job, token, post);
  if (job == nullptr) return;
  if (!is_over(job->state) || job->open || reopening_.contains(job->id) ||
      reading_.contains(job->id) || forgetting_.contains(job->id))
    return refuse(token, ErrorCode::conflict,
                  fmt::format("expected a job that is over, {} is {}; cancel it first",
                              to_string(job->id), name_of(job->state)),
                  post);
  AppendNow append;
  forgetting_.insert(job->id);
  append.part.forgotten.push_back(job->id);
  append.release.push_back({to_coordinator, JobForgotten{job->id, token}});
  post.tell(to_journal, std::move(append));
}

void CoordinatorRoom::on(JobForgotten& forgotten, const Moment& moment, Post& post) {
  const coordinator::JobEntry* job = desk_.find(forgotten.job);
  forgetting_.erase(forgotten.job);
  if (job == nullptr) return refuse(forgotten.token, ErrorCode::not_found, "it is forgotten", post);
  Answer answer{forgotten.token, {}, {view(*job, moment)}, {}, {}, {}};
  answer.forgotten_inputs = job->spec.inputs;
  desk_.forget(forgotten.job);
  money_.erase(forgotten.job);
  learned_.erase(forgotten.job);
  probe_wait_.forget(forgotten.job);
  post.tell(to_client, std::move(answer));
}

void CoordinatorRoom::answer(ReopenJob& wanted, std::uint64_t token, const Moment& moment,
                             Post& post) {
  coordinator::JobEntry* job = asked(wanted.job, token, post);
  if (job == nullptr) return;
  if (forgetting_.contains(job->id))
    return refuse(
        token, ErrorCode::conflict,
        fmt::format("expected a job that is kept, {} is being forgotten", to_string(job->id)),
        post);
  const bool busy = job->open && job->state != JobState::paused;
  if (busy || reopening_.contains(job->id) || reading_.contains(job->id))
    return refuse(token, ErrorCode::conflict,
                  fmt::format("expected a job that is paused or over, {} is {}", to_string(job->id),
                              name_of(job->state)),
                  post);
  if (job->open && wanted.retry)
    return refuse(token, ErrorCode::conflict,
                  fmt::format("{} is paused: resume it, and retry what failed when it is over",
                              to_string(job->id)),
                  post);
  if (!takes_budget(*job, wanted, token, post)) return;
  if (job->open) return run_again(*job, std::move(wanted.spec), {}, token, moment, post);
  if (auto content = closed_.extract(job->id))
    return reopen(*job, std::move(content.mapped()), wanted, token, moment, post);
  // What the job's last words were must be in the journal before it is read.
  const JobId id = job->id;
  reading_[id] = {std::move(wanted), token};
  AppendNow after_all;
  after_all.release.push_back({to_store, ReadJob{id}});
  post.tell(to_journal, std::move(after_all));
}

// Puts the budget that is wanted into the specification that is wanted. False: it cannot be had,
// and who asked has been told.
bool CoordinatorRoom::takes_budget(const coordinator::JobEntry& job, ReopenJob& wanted,
                                   std::uint64_t token, Post& post) {
  if (job.open) wanted.spec.reset(); // an open job keeps what it has but its budget
  if (wanted.budget_usd) {
    if (!wanted.spec) wanted.spec = job.spec;
    wanted.spec->limits.budget_usd = *wanted.budget_usd;
  }
  if (!wanted.spec || !wanted.spec->limits.budget_usd) return true;
  std::string why;
  // What its calls in flight may cost was not reserved.
  if (job.open && !job.spec.limits.budget_usd)
    why = fmt::format("expected a job that was submitted with --budget-usd, {} was not; cancel it "
                      "and submit the rest with one",
                      to_string(job.id));
  if (why.empty()) why = coordinator_.why_no_budget(*wanted.spec);
  if (!why.empty()) refuse(token, ErrorCode::usage, std::move(why), post);
  return why.empty();
}

void CoordinatorRoom::on(JobRead& read, const Moment& moment, Post& post) {
  auto waiting = reading_.extract(read.job);
  coordinator::JobEntry* job = desk_.find(read.job);
  if (!waiting) return;
  auto& [wanted, token] = waiting.mapped();
  if (job == nullptr) return refuse(token, ErrorCode::not_found, "it is forgotten", post);
  if (!read.content)
    return refuse(token, read.content.error().code, read.content.error().message, post);
  money_[job->id] = money_of(*read.content, false, false);
  learned_[job->id] = std::move(read.content->learned);
  reopen(*job, content_of(*read.content), wanted, token, moment, post);
}

void CoordinatorRoom::reopen(coordinator::JobEntry& job, ClosedJob content, ReopenJob& wanted,
                             std::uint64_t token, const Moment& moment, Post& post) {
  std::vector<journal::Reopened> reopened;
  if (wanted.retry) reopened = reopened_of(job.id, content, *wanted.retry);
  const bool grows = wanted.spec && wanted.spec->limits.items != job.spec.limits.items;
  const bool complete = job.state == JobState::finished || job.state == JobState::cancelled;
  if (complete && reopened.empty() && !grows) {
    money_.erase(job.id);
    learned_.erase(job.id);
    return refuse(token, ErrorCode::conflict,
                  wanted.retry
                      ? fmt::format("{} has no failed item of {}: there is nothing to run again",
                                    to_string(job.id),
                                    wanted.retry->empty() ? "any class" : "these classes")
                      : fmt::format("{} is {}: there is nothing to go on with; `gristmill retry` "
                                    "runs failed items again",
                                    to_string(job.id), name_of(job.state)),
                  post);
  }
  // Nothing was in flight when the job ended, and where its items stand is not known any more.
  if (!reopened.empty()) {
    content.items.low = {};
    content.items.mark = 0;
  }
  content.items.counts.total = content.items.counts.terminal() + reopened.size();
  content.items.next_call = job.next_call;
  job.counts = content.items.counts;
  if (job.errors) content.items.errors = *job.errors;
  if (wanted.retry) take_back(content.items.errors, *wanted.retry);
  job.errors = std::make_shared<const ErrorList>(content.items.errors);
  reopening_[job.id] = std::move(content.items);
  run_again(job, std::move(wanted.spec), std::move(reopened), token, moment, post);
}

void CoordinatorRoom::run_again(coordinator::JobEntry& job, std::optional<JobSpec> spec,
                                std::vector<journal::Reopened> reopened, std::uint64_t token,
                                const Moment& moment, Post& post, bool probing) {
  AppendNow append;
  append.part.reopened = std::move(reopened);
  append.part.jobs.push_back(desk_.reopen(job, std::move(spec), moment.unix_seconds));
  append.release.push_back(
      {to_coordinator,
       JobDurable{.job = job.id, .state = JobState::running, .token = token, .probing = probing}});
  post.tell(to_journal, std::move(append));
}

void CoordinatorRoom::answer(const ListJobs& list, std::uint64_t token, const Moment& moment,
                             Post& post) {
  Answer answer{token, {}, {}, {}, {}, {}};
  const auto wanted = [&](const coordinator::JobEntry& job) {
    return !is_over(job.state) || job.ended_at >= list.ended_since ||
           (list.wanted && std::binary_search(list.wanted->begin(), list.wanted->end(), job.id));
  };
  const auto& jobs = desk_.jobs();
  std::size_t looked_at = 0;
  auto it = jobs.upper_bound(list.after);
  for (JobId last; it != jobs.end(); ++it) {
    if (looked_at++ == ListJobs::looked_at_max || answer.jobs.size() == list.limit) {
      answer.more = last;
      break;
    }
    last = it->first;
    if (wanted(it->second)) answer.jobs.push_back(view(it->second, moment));
  }
  post.tell(to_client, std::move(answer));
}

void CoordinatorRoom::answer(const ShowJob& show_job, std::uint64_t token, const Moment& moment,
                             Post& post) {
  if (const coordinator::JobEntry* job = asked(show_job.job, token, post))
    show(*job, token, moment, post);
}

void CoordinatorRoom::answer(const ShowReady&, std::uint64_t token, const Moment&, Post& post) {
  if (!journal_full_.empty()) return refuse(token, ErrorCode::unavailable, journal_full_, post);
  post.tell(to_client, Answer{token, {}, {}, {}, {}, {}});
}

void CoordinatorRoom::answer(const ListWorkers&, std::uint64_t token, const Moment&, Post& post) {
  post.tell(to_client, Answer{token, {}, {}, coordinator_.workers(), {}, {}});
}

// The limiter adds what it knows, and answers.
void CoordinatorRoom::answer(const ListPools& list, std::uint64_t token, const Moment& moment,
                             Post& post) {
  post.tell(to_limiter,
            ShowPools{token, coordinator_.pools(list.of_jobs, moment.now, moment.unix_seconds)});
}

void CoordinatorRoom::answer(const DrainWorker& drain, std::uint64_t token, const Moment& moment,
                             Post& post) {
  Answer answer{token, {}, {}, {}, {}, {}};
  emit(coordinator_.drain(drain.worker, answer.workers, moment.now), post);
  if (answer.workers.empty())
    return refuse(token, ErrorCode::not_found,
                  fmt::format("there is no worker {}; `gristmill workers` lists them",
                              json::printable(drain.worker, 100)),
                  post);
  post.tell(to_client, std::move(answer));
}

} // namespace gristmill::wiring
