#include "actors/jobs/job_desk.hpp"

#include "actors/jobs/job_log.hpp"
#include "actors/jobs/job_money.hpp"
#include "actors/kit/mutant.hpp"

#include <fmt/format.h>

namespace gristmill::jobs {
namespace {

// The job that it names.
std::optional<JobId> job_of(const Question& question) {
  return std::visit(
      [](const auto& asked) -> std::optional<JobId> {
        if constexpr (requires { asked.job; })
          return asked.job;
        else
          return std::nullopt;
      },
      question);
}

// Whether it makes a job that is over run again or merge again, or forgets it.
bool begins_or_ends(const Question& question) {
  return std::holds_alternative<ReopenJob>(question) ||
         std::holds_alternative<ForgetJob>(question) ||
         std::holds_alternative<MergeAgain>(question);
}

Effects refused(std::uint64_t token, ErrorCode code, std::string sentence) {
  Effects effects;
  effects.refuse(token, code, std::move(sentence));
  return effects;
}

Effects refused(std::uint64_t token, Error error) {
  return refused(token, error.code, std::move(error.message));
}

Effects not_as_expected(std::uint64_t token, std::string_view what, const JobEntry& job,
                        std::string_view do_first = {}) {
  return refused(token, ErrorCode::conflict,
                 fmt::format("expected a job that is {}, {} is {}{}", what, to_string(job.id),
                             name_of(job.state), do_first));
}

// It is so already, and perhaps not on the disk yet: the answer waits for that.
Effects confirmed(const JobEntry& job, std::uint64_t token) {
  Effects effects;
  effects.add(Append{{}, JobDurable{job.id, job.state, token}});
  return effects;
}

} // namespace

void JobDesk::recovered(journal::RecoveredJob job, Time now) {
  lives_.recovered(job, now);
  const JobEntry& entry = *lives_.find(job.job);
  KeptJob kept;
  kept.money = money_of(job, options_.crashed, options_.crashed && !options_.workers_died);
  if (kept.money.assumed) assumed_.push_back({entry.id, 0, {}, kept.money.assumed});
  if (is_over(entry.state) && !options_.flat) return; // it is read again before it goes on
  kept.may_have_called = options_.crashed;
  if (entry.spec.limits.rates.max_in_flight != 0)
    kept.calls_at_once = entry.spec.limits.rates.max_in_flight;
  kept.content = std::move(job);
  kept_[entry.id] = std::move(kept);
}

// Before any session of an earlier life is over in the journal: from then on nothing else would say
// that its calls may have cost more than is recorded.
Effects JobDesk::money_assumed() {
  Effects effects;
  Append assumed;
  assumed.part.money = std::exchange(assumed_, {});
  if (!assumed.part.money.empty()) effects.add(std::move(assumed));
  return effects;
}

Effects JobDesk::started(const Moment& moment) {
  Effects effects;
  if (options_.flat) return effects;
  for (auto& [job, kept] : std::exchange(kept_, {}))
    effects.add(lives_.open_again(job, std::move(kept), moment));
  return effects;
}

// A job that is over has not ended before its rooms have: what they say last would be said of its
// next run, and what that reads would miss it.
bool JobDesk::is_ending(JobId id) const {
  if (mutated("room_forgotten_late")) return false;
  const JobEntry* job = lives_.find(id);
  return job != nullptr && is_over(job->state) &&
         (job->open || lives_.has_room(id, JobRoom::supervisor) ||
          lives_.has_room(id, JobRoom::merger));
}

Effects JobDesk::asked(Question question, std::uint64_t token, const Moment& moment) {
  if (const auto job = job_of(question)) {
    if (auto named = lives_.book().named(*job); !named)
      return refused(token, std::move(named.error()));
    if (begins_or_ends(question) && is_ending(*job)) {
      late_[*job].push_back({std::move(question), token});
      return {};
    }
  }
  return std::visit([&](auto& asked) { return answer(asked, token, moment); }, question);
}

Effects JobDesk::answer_late(JobId job, const Moment& moment) {
  Effects effects;
  if (is_ending(job)) return effects;
  if (auto late = late_.extract(job))
    for (Asked& asked : late.mapped())
      effects.add(this->asked(std::move(asked.question), asked.token, moment));
  return effects;
}

Effects JobDesk::answer(SubmitJob& submit, std::uint64_t token, const Moment& moment) {
  auto submitted = lives_.submit(std::move(submit.spec), token, moment);
  return submitted ? std::move(*submitted) : refused(token, std::move(submitted.error()));
}

Effects JobDesk::answer(const CancelJob& cancel, std::uint64_t token, const Moment& moment) {
  const JobEntry& job = *lives_.find(cancel.job);
  const bool stops = job.state == JobState::running || job.state == JobState::paused;
  return stops ? lives_.cancel(job.id, token, moment) : confirmed(job, token);
}

Effects JobDesk::answer(const PauseJob& pause, std::uint64_t token, const Moment& moment) {
  const JobEntry& job = *lives_.find(pause.job);
  // One that paused by itself to ask its endpoints later would go on by itself.
  if (job.state == JobState::paused && !goes_on_to_probe(job.reason)) return confirmed(job, token);
  if (job.state != JobState::running && job.state != JobState::paused)
    return not_as_expected(token, "running", job);
  return lives_.pause(job.id, token, moment);
}

Effects JobDesk::answer(const ForgetJob& forget, std::uint64_t token, const Moment&) {
  const JobEntry& job = *lives_.find(forget.job);
  if (!is_over(job.state) || job.open || errands_.contains(job.id))
    return not_as_expected(token, "over", job, "; cancel it first");
  errands_[job.id] = Forgetting{};
  Append append;
  append.part.forgotten.push_back(job.id);
  append.then = JobForgotten{job.id, token};
  Effects effects;
  effects.add(std::move(append));
  return effects;
}

Effects JobDesk::forgotten(const JobForgotten& forgotten) {
  take<Forgetting>(forgotten.job);
  const JobEntry* job = lives_.find(forgotten.job);
  if (job == nullptr) return refused(forgotten.token, ErrorCode::not_found, "it is forgotten");
  Effects effects;
  effects.add(ShowForgotten{forgotten.token, *job});
  lives_.forget(forgotten.job);
  kept_.erase(forgotten.job);
  return effects;
}

Effects JobDesk::answer(ReopenJob& wanted, std::uint64_t token, const Moment& moment) {
  const JobEntry& job = *lives_.find(wanted.job);
  const auto errand = errands_.find(job.id);
  if (errand != errands_.end() && std::holds_alternative<Forgetting>(errand->second))
    return refused(
        token, ErrorCode::conflict,
        fmt::format("expected a job that is kept, {} is being forgotten", to_string(job.id)));
  if ((job.open && job.state != JobState::paused) || errand != errands_.end())
    return not_as_expected(token, "paused or over", job);
  if (job.open && wanted.retry)
    return refused(token, ErrorCode::conflict,
                   fmt::format("{} is paused: resume it, and retry what failed when it is over",
                               to_string(job.id)));
  auto spec = spec_to_run(job, wanted, options_.pools);
  if (!spec) return refused(token, std::move(spec.error()));
  if (job.open)
    return lives_.run(job.id, std::move(*spec),
                      Append{{}, JobDurable{job.id, JobState::running, token}}, moment);
  wanted.spec = std::move(*spec);
  if (auto kept = kept_.extract(job.id))
    return reopen(job.id, std::move(kept.mapped()), {std::move(wanted), token}, moment);
  // What the job's last words were must be in the journal before it is read.
  Effects effects;
  effects.add(Append{{}, ReadJob{job.id}});
  errands_[job.id] = Reading{std::move(wanted), token};
  return effects;
}

Effects JobDesk::read(JobRead read, const Moment& moment) {
  auto reading = take<Reading>(read.job);
  if (!reading) return {};
  if (lives_.find(read.job) == nullptr)
    return refused(reading->token, ErrorCode::not_found, "it is forgotten");
  if (!read.content) return refused(reading->token, std::move(read.content.error()));
  KeptJob kept;
  kept.money = money_of(*read.content, false, false);
  kept.content = std::move(*read.content);
  return reopen(read.job, std::move(kept), std::move(*reading), moment);
}

Effects JobDesk::reopen(JobId job, KeptJob kept, Reading asked, const Moment& moment) {
  auto again = run_again(*lives_.find(job), std::move(kept), asked.wanted);
  if (!again) return refused(asked.token, std::move(again.error()));
  lives_.begins_with(job, again->kept.content.counts, std::move(again->errors));
  errands_[job] = std::move(again->kept);
  Append append;
  append.part.reopened = std::move(again->reopened);
  append.then = JobDurable{job, JobState::running, asked.token};
  return lives_.run(job, std::move(asked.wanted.spec), std::move(append), moment);
}

// It is there already, or will be: the answer waits for the disk.
Effects JobDesk::answer(AppendInputs& wanted, std::uint64_t token, const Moment&) {
  const JobEntry& job = *lives_.find(wanted.job);
  if (!job.spec.open) return not_as_expected(token, "open (submit --open)", job);
  const auto known = job.appends.known(wanted);
  if (!known) return refused(token, known.error());
  Append append;
  if (*known) {
    append.then = InputsDurable{{job.id, (*known)->number, {}, {}, 0, {}}, token, true};
  } else if (!job.appends.is_closed() && job.state != JobState::running &&
             job.state != JobState::paused) {
    return not_as_expected(token, "running or paused", job);
  } else {
    auto note = lives_.append(std::move(wanted));
    if (!note) return refused(token, std::move(note.error()));
    append.part.appends.push_back(*note);
    append.then = InputsDurable{std::move(*note), token, false};
  }
  Effects effects;
  effects.add(std::move(append));
  return effects;
}

Effects JobDesk::answer(const CloseInputs& close, std::uint64_t token, const Moment&) {
  const JobEntry& job = *lives_.find(close.job);
  if (!job.spec.open) return not_as_expected(token, "open (submit --open)", job);
  if (is_over(job.state)) return confirmed(job, token);
  journal::AppendNote note;
  note.job = job.id;
  Append append;
  if (!job.appends.is_closed()) append.part.appends.push_back(note);
  lives_.close_inputs(job.id);
  append.then = InputsDurable{std::move(note), token, false};
  Effects effects;
  effects.add(std::move(append));
  return effects;
}

Effects JobDesk::inputs_durable(InputsDurable durable) {
  const JobId id = durable.append.job;
  const JobEntry* job = lives_.find(id);
  if (job == nullptr) return refused(durable.token, ErrorCode::not_found, "it is forgotten");
  Effects effects;
  if (durable.append.closes())
    effects.show(durable.token, id);
  else
    effects.add(ShowAppended{durable.token, id, {durable.append.number, durable.repeated}});
  if (job->open && !durable.repeated) effects.add(Feed{std::move(durable.append)});
  return effects;
}

// Its lines are all there, so neither its input nor a supervisor is needed.
Effects JobDesk::answer(const MergeAgain& merge, std::uint64_t token, const Moment&) {
  const JobEntry& job = *lives_.find(merge.job);
  if (!job.is_complete() || errands_.contains(job.id)) return not_as_expected(token, "over", job);
  errands_[job.id] = Merging{token};
  return lives_.merge(job.id, job.ended_at, job.state == JobState::cancelled);
}

Effects JobDesk::merged(MergeReport report, const Moment& moment) {
  const auto merging = take<Merging>(report.job);
  if (!merging) return lives_.merged(std::move(report), moment);
  Effects effects;
  effects.add(CloseRoom{report.job, JobRoom::merger});
  if (report.failure.empty())
    effects.show(merging->token, report.job);
  else
    effects.refuse(merging->token, report.again ? ErrorCode::disk_full : ErrorCode::io,
                   std::move(report.failure));
  return effects;
}

Effects JobDesk::room_gone(JobId job, JobRoom room, const Moment& moment) {
  Effects effects;
  lives_.room_gone(job, room);
  if (room == JobRoom::merger)
    if (const auto merging = take<Merging>(job))
      effects.refuse(merging->token, ErrorCode::internal, "the merge failed; the log says why");
  effects.add(answer_late(job, moment));
  return effects;
}

Effects JobDesk::room_crashed(JobId job, JobRoom room, std::string why, const Moment& moment) {
  Effects effects = room_gone(job, room, moment);
  effects.add(lives_.crashed(job, std::move(why), moment));
  return effects;
}

// A state that the journal holds may be seen: the question that waited for it is answered.
Effects JobDesk::durable(const JobDurable& durable, const Moment& moment) {
  const JobId id = durable.job;
  const JobEntry* job = lives_.find(id);
  if (job == nullptr) return refused(durable.token, ErrorCode::not_found, "it is forgotten");
  Effects effects;
  // Told once: an answer that waited for the disk comes behind the same change.
  if (durable.state != JobState::running && durable.changed)
    effects.events.push_back(job_changed(*job, durable.state, moment.unix_seconds));
  if (durable.state == JobState::running && job->open) {
    effects.add(lives_.resume(id, durable.probing));
  } else if (durable.state == JobState::running) {
    auto kept = take<KeptJob>(id);
    if (!kept) effects.events.push_back(job_submitted(*job));
    effects.add(lives_.open(id, std::move(kept).value_or(KeptJob{}), moment));
  } else if (durable.state == JobState::cancelling && durable.changed) {
    effects.add(Cancel{id});
    effects.add(Hold{id});
  } else if (is_over(durable.state)) {
    effects.add(lives_.close(id));
    effects.add(answer_late(id, moment));
  }
  effects.show(durable.token, id);
  return effects;
}

template <class T> std::optional<T> JobDesk::take(JobId job) {
  const auto errand = errands_.find(job);
  if (errand == errands_.end() || !std::holds_alternative<T>(errand->second)) return std::nullopt;
  std::optional<T> taken{std::get<T>(std::move(errand->second))};
  errands_.erase(errand);
  return taken;
}

void JobDesk::measure(Sizes& sizes) const {
  lives_.measure(sizes);
  sizes["desk.kept"] = kept_.size();
  sizes["desk.errands"] = errands_.size();
  sizes["desk.late questions"] = late_.size();
}

} // namespace gristmill::jobs
