#include "tests/sim/ledger.hpp"
#include "tests/sim/provider.hpp"
#include "tests/sim/tree.hpp"

#include "protocol/job/spec.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace gristmill::sim {
namespace {

// A number in [0, 1) that belongs to the part.
double fate(std::size_t plan, const PartId& part, std::uint64_t salt) {
  return Random{(plan << 32) ^ part.item ^ (std::uint64_t{part.part} << 40) ^ (salt << 48)}.unit();
}

} // namespace

template <class Use> void Ledger::each_twin(std::size_t plan, const PartId& part, Use use) {
  const JobPlan& job = swarm_.jobs[plan];
  if (job.distinct == 0) return use(part);
  for (std::uint64_t item = job.twin_of(part.item); item < job.items; item += job.distinct)
    use(PartId{part.job, item, part.part});
}

Ledger::Ledger(const Swarm& swarm, Violation violation)
    : swarm_{swarm}, violation_{std::move(violation)}, plans_(swarm.jobs.size()) {
  for (std::size_t n = 0; n < plans_.size(); ++n) {
    plans_[n].items.resize(swarm.jobs[n].items);
    for (std::size_t item = 0; item < plans_[n].items.size(); ++item)
      for (const std::uint32_t part : Tree::of(swarm.jobs[n], n, item).all())
        plans_[n].items[item].parts[part];
    plans_[n].cap = swarm.jobs[n].budget;
  }
}

void Ledger::paid(std::size_t number, Usd cost) {
  Plan& plan = plans_[number];
  plan.paid += cost;
  if (plan.cap && plan.paid > plan.cap)
    broken("the calls of plan {} have cost {} x 10^-9 US$, {} are its budget", number,
           plan.paid.nano(), plan.cap.nano());
}

bool Ledger::is_bad(std::size_t plan, const PartId& part) const {
  return fate(plan, placed(plan, part), 1) < swarm_.jobs[plan].bad;
}

bool Ledger::is_too_long(std::size_t plan, const PartId& part) const {
  return fate(plan, placed(plan, part), 2) < swarm_.jobs[plan].too_long;
}

bool Ledger::is_unruly(std::size_t plan, const PartId& part) const {
  return fate(plan, placed(plan, part), 3) < swarm_.jobs[plan].unruly;
}

bool Ledger::is_hopeless(std::size_t plan, const PartId& part) const {
  return fate(plan, placed(plan, part), 3) < swarm_.jobs[plan].unruly / 2;
}

std::uint64_t Ledger::items_failed(std::size_t plan) const {
  const auto& items = plans_[plan].items;
  return static_cast<std::uint64_t>(std::count_if(items.begin(), items.end(), [](const Item& i) {
    return i.terminal && *i.terminal != OutcomeClass::ok;
  }));
}

std::optional<JobId> Ledger::job_of(std::size_t plan) const {
  const JobId job = plans_[plan].job;
  return job ? std::optional{job} : std::nullopt;
}

std::optional<std::size_t> Ledger::plan_of(JobId job) const {
  for (std::size_t n = 0; n < plans_.size(); ++n)
    if (plans_[n].job == job) return n;
  return std::nullopt;
}

std::optional<JobState> Ledger::state_of(JobId job) const {
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? std::nullopt : std::optional{it->second.state};
}

// The journal.

void Ledger::committed(const journal::Group& group, std::uint32_t epoch) {
  for (const auto& block : group.blocks) blocks_[{epoch, block.block}] = block;
  for (const auto& note : group.marks) {
    std::uint64_t& mark = marks_[note.job];
    mark = std::max(mark, note.mark);
  }
  for (const auto& note : group.sessions)
    if (note.open) sessions_.insert(note.session);
  for (const auto& change : group.jobs) check(change);
  for (const auto& again : group.reopened) check_reopened(again);
  for (const auto& line : group.lines) check(line);
  for (const auto& line : group.parts) check(line);
  for (const auto& note : group.attempts) check(note);
  for (const auto& note : group.notes) check(note);
  for (const auto& note : group.appends) check(note);
  for (const auto& change : group.jobs) check_all_dropped(change);
  for (const JobId job : group.forgotten) {
    if (const auto state = state_of(job); state && !is_over(*state))
      broken("{} was forgotten while it was {}", to_string(job), name_of(*state));
    jobs_.erase(job);
  }
}

namespace {

// What is terminal are the first items.
template <class Items> bool is_prefix(const Items& items, std::uint64_t terminal) {
  return terminal <= items.size() &&
         std::all_of(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(terminal),
                     [](const auto& item) { return item.terminal.has_value(); });
}

} // namespace

void Ledger::check(const journal::JobChange& change) {
  auto known = jobs_.find(change.job);
  if (known == jobs_.end()) {
    const auto spec = job_spec_from_json(change.spec);
    if (!spec) return broken("{} begins without a specification", to_string(change.job));
    std::size_t plan = 0; // "out-N"
    std::from_chars(spec->output.data() + 4, spec->output.data() + spec->output.size(), plan);
    if (plans_[plan].job) broken("the job of plan {} was made twice", plan);
    plans_[plan].job = change.job;
    jobs_[change.job] = {plan, change.state};
    return;
  }
  Job& job = known->second;
  Plan& plan = plans_[job.plan];
  const JobState from = std::exchange(job.state, change.state);
  const std::string_view name = name_of(change.state);
  if (is_over(from) && !plan.go_on_asked)
    broken("{} was over and became {} by itself", to_string(change.job), name);
  if (change.state != JobState::failed) plan.go_on_asked = false;
  if (from == JobState::failed) excuse_plan(job.plan);
  const bool complete = job.terminal == plan.items.size() ||
                        (may_be_cut(job.plan) && is_prefix(plan.items, job.terminal));
  switch (change.state) {
  case JobState::merging:
  case JobState::finished:
    if (!complete)
      broken("{} is {} with {} of {} items on the disk", to_string(change.job), name, job.terminal,
             plan.items.size());
    if (change.state == JobState::finished && plan.cancel_told)
      broken("{} was told to be cancelling, and finished", to_string(change.job));
    break;
  case JobState::cancelling:
  case JobState::cancelled:
    if (!plan.cancel_asked) broken("{} is {}, nobody asked for it", to_string(change.job), name);
    break;
  case JobState::paused:
    if (change.reason == JobReason::endpoint && swarm_.unauthorized > 0) break;
    if (change.reason == JobReason::budget && plan.cap) break;
    if (change.reason != JobReason::user)
      broken("{} paused: {}", to_string(change.job), change.detail);
    break;
  case JobState::failed:
    if (plan.crashes == 0) broken("{} failed: {}", to_string(change.job), change.detail);
    break;
  case JobState::running: break;
  }
}

void Ledger::check_reopened(const journal::Reopened& again) {
  Job& job = jobs_[again.job];
  Plan& plan = plans_[job.plan];
  Item& item = plan.items.at(again.item);
  if (!plan.retry_asked || !item.terminal || *item.terminal == OutcomeClass::ok)
    broken("item {} of {} was reopened, it had not failed", again.item, to_string(again.job));
  item.terminal.reset();
  // It had its line: what is told of its earlier calls from now on is late.
  for (auto& [number, part] : item.parts) {
    if (part.ended == OutcomeClass::ok) continue; // stays, and is not paid again
    part.ended.reset();
    for (const AttemptId id : part.calls)
      attempts_.at(id).excused = attempts_.at(id).given_up = true;
  }
  --job.terminal;
  job.low = 0;
}

void Ledger::check(const journal::ResultLine& line) {
  const auto known = jobs_.find(line.job);
  if (known == jobs_.end()) return broken("a line of {}, which is not known", to_string(line.job));
  Job& job = known->second;
  Plan& plan = plans_[job.plan];
  if (line.item >= plan.items.size())
    return broken("a line of item {} of {}", line.item, plan.items.size());
  Item& item = plan.items[line.item];
  if (item.terminal) broken("item {} of {} has two results", line.item, to_string(line.job));
  if (!item.terminal) ++job.terminal;
  item.terminal = line.cls;
  if (item.parts.size() == 1)
    return check_end({{line.job, line.item, 0}, line.cls, line.line}, job.plan);
  // Who joins answers is not asked about an item of which one is missing, and of a cancelled job's
  // item few parts say so.
  const auto is_open = [&](const auto& part) {
    return !part.second.ended && (!line.failed() || PartNumber::of(part.first).level == 0);
  };
  const bool few_say_so = line.failed() && plan.cancel_asked;
  if (!few_say_so && std::ranges::any_of(item.parts, is_open))
    return broken("item {} of {} is done, and parts of it are not", line.item, to_string(line.job));
  if (item.has_failed() != line.failed())
    broken("item {} of {} ended as {}, its parts did not", line.item, to_string(line.job),
           info(line.cls).name);
}

bool Ledger::Item::has_failed() const {
  return std::ranges::any_of(parts, [](const auto& part) {
    return part.second.ended && *part.second.ended != OutcomeClass::ok;
  });
}

void Ledger::check(const journal::PartLine& line) {
  const auto known = jobs_.find(line.part.job);
  if (known == jobs_.end())
    return broken("a part of {}, which is not known", to_string(line.part.job));
  const Plan& plan = plans_[known->second.plan];
  if (line.part.item >= plan.items.size() ||
      !plan.items[line.part.item].parts.contains(line.part.part) ||
      plan.items[line.part.item].parts.size() == 1)
    return broken("a line of part {} of item {}", line.part.part, line.part.item);
  check_end(line, known->second.plan);
}

void Ledger::check_end(const journal::PartLine& line, std::size_t plan) {
  Part& part = part_of(plan, line.part);
  const std::string name = fmt::format("part {} of item {} of {}", line.part.part, line.part.item,
                                       to_string(line.part.job));
  if (part.ended) broken("{} has two lines", name);
  part.ended = line.cls;
  if (line.cls != OutcomeClass::ok) {
    if (!explained(plan, line)) broken("{} failed: {}", name, line.line);
    return;
  }
  if (!is_answered(plan, line.part)) broken("{} is done, and no call answered it", name);
  const PartId asked{{}, swarm_.jobs[plan].twin_of(line.part.item), line.part.part};
  const std::string wanted =
      swarm_.jobs[plan].embeds() ? answer_vector(plan, asked) : answer_text(plan, asked);
  if (line.line.find(wanted) == line.line.npos) broken("{} has another's answer", name);
}

bool Ledger::has_answer(std::size_t plan, std::uint64_t item) {
  bool answered = false;
  each_twin(plan, {{}, item, 0},
            [&](const PartId& twin) { answered |= part_of(plan, twin).ended == OutcomeClass::ok; });
  return answered;
}

bool Ledger::is_answered(std::size_t plan, const PartId& part) {
  const std::uint64_t asked = swarm_.jobs[plan].twin_of(part.item);
  bool answered = plans_[plan].known_before.contains(asked);
  each_twin(plan, part, [&](const PartId& twin) {
    for (const AttemptId id : part_of(plan, twin).calls)
      answered |= attempts_.at(id).state == Attempt::State::answered;
  });
  return answered;
}

// Whether the part may have failed like this: for what it asks another one may have.
bool Ledger::explained(std::size_t number, const journal::PartLine& line) {
  const Plan& plan = plans_[number];
  const Part& part = part_of(number, line.part);
  if (line.cls == OutcomeClass::cancelled) return plan.cancel_asked;
  if (plan.cancel_asked && !part.calls.empty()) return true; // its retry was cancelled
  if (line.line.find("\"quarantined\"") != line.line.npos) return part.deaths >= 3;
  bool explained = false;
  each_twin(number, line.part,
            [&](const PartId& twin) { explained |= explains(number, twin, line.cls); });
  return explained;
}

bool Ledger::explains(std::size_t number, const PartId& id, OutcomeClass cls) {
  const Plan& plan = plans_[number];
  const Part& part = part_of(number, id);
  switch (cls) {
  case OutcomeClass::bad_line: return is_bad(number, id) && !part.calls.empty();
  case OutcomeClass::too_long: return is_too_long(number, id) && !swarm_.fallback;
  // Three times among others, and three times alone.
  case OutcomeClass::poison: return part.faults >= 6;
  case OutcomeClass::transient:
  case OutcomeClass::timeout:
    return part.failures + crashes_ + plan.crashes > swarm_.jobs[number].retries;
  case OutcomeClass::bad_result:
    return is_hopeless(number, id) ||
           (is_unruly(number, id) &&
            part.failures + crashes_ + plan.crashes > swarm_.jobs[number].retries);
  case OutcomeClass::config: return plan.cancel_asked;
  default: return false;
  }
}

void Ledger::check(const journal::AttemptNote& note) {
  const auto job = jobs_.find(note.part.job);
  if (job == jobs_.end()) return;
  const Plan& plan = plans_[job->second.plan];
  const Part& item = part_of(job->second.plan, note.part);
  if (note.deaths > item.deaths)
    broken("item {} of {} is said to have seen {} deaths, it saw {}", note.part.item,
           to_string(note.part.job), note.deaths, item.deaths);
  // One that a crash hid may be told, and counted, again.
  if (note.attempts > item.failures + crashes_ + plan.crashes)
    broken("item {} of {} is said to have failed {} times, it failed {}", note.part.item,
           to_string(note.part.job), note.attempts, item.failures);
}

void Ledger::check(const journal::JobNote& note) {
  const auto known = jobs_.find(note.job);
  if (known == jobs_.end()) return;
  Job& job = known->second;
  const auto& items = plans_[job.plan].items;
  for (; job.low < note.low.item && job.low < items.size(); ++job.low)
    if (!items[job.low].terminal)
      return broken("reading of {} would go on at item {}, but item {} has no result",
                    to_string(note.job), note.low.item, job.low);
  check_dropped(note);
  job.before.raise_to(note.low.before);
}

// Each once, in their order, and none behind the last.
void Ledger::check(const journal::AppendNote& note) {
  Job& job = jobs_[note.job];
  if (job.is_closed) broken("{} is closed, and append {} comes", to_string(note.job), note.number);
  job.is_closed |= note.closes();
  if (!note.closes() && note.number != ++job.appends)
    broken("append {} of {} is called {}", job.appends, to_string(note.job), note.number);
  if (job.appends > swarm_.jobs[job.plan].appends)
    broken("something was appended to {} twice", to_string(note.job));
}

void Ledger::check_all_dropped(const journal::JobChange& change) {
  if (change.state != JobState::merging && change.state != JobState::finished) return;
  const Job& job = jobs_.at(change.job);
  const Preprocessed& all = plans_[job.plan].before.back();
  if (job.before != all && !may_be_cut(job.plan))
    broken("{} is {} with {} lines dropped, expected {}", to_string(change.job),
           name_of(change.state), job.before.dropped(), all.dropped());
}

// Reading may have come to any line between two items.
void Ledger::check_dropped(const journal::JobNote& note) {
  const auto& before = plans_[jobs_.at(note.job).plan].before;
  const std::uint64_t item = note.low.item;
  if (note.low == InputPosition{} || item >= before.size()) return;
  const std::uint64_t least = item == 0 ? 0 : before[item - 1].dropped();
  const Preprocessed& got = note.low.before;
  if (got.dropped() < least || got.dropped() > before[item].dropped())
    broken("reading of {} would go on at item {} with {} lines dropped, expected {} to {}",
           to_string(note.job), item, got.dropped(), least, before[item].dropped());
}

void Ledger::recovered(const journal::Recovered& recovered) {
  for (const auto& [id, job] : jobs_) {
    const auto found =
        std::find_if(recovered.jobs.begin(), recovered.jobs.end(),
                     [id = id](const journal::RecoveredJob& other) { return other.job == id; });
    if (found == recovered.jobs.end()) {
      broken("{} is gone after a restart", to_string(id));
    } else if (found->counts.terminal() != job.terminal || found->state != job.state) {
      broken("{} was {} with {} results, after a restart it is {} with {}", to_string(id),
             name_of(job.state), job.terminal, name_of(found->state), found->counts.terminal());
    } else if (found->counts.preprocessed != job.before) {
      broken("{} had dropped {} lines, after a restart it has {}", to_string(id),
             job.before.dropped(), found->counts.preprocessed.dropped());
    }
  }
}

// Who is welcomed before the journal shows it is not asked for after a crash.
void Ledger::welcomed(SessionId session) {
  if (!sessions_.contains(session)) broken("session {} begins before it is durable", session.value);
}

// Calls.

void Ledger::sent(const SentCall& call) {
  const std::string name = to_string(call.attempt);
  const auto permit = attempts_.find(call.attempt);
  if (permit == attempts_.end()) return broken("attempt {} was never permitted", name);
  if (permit->second.state != Attempt::State::permitted)
    return broken("attempt {} was sent twice", name);
  const JobPlan& job = swarm_.jobs[call.plan];
  const auto same = [&](const PartId& a, const PartId& b) {
    return job.twin_of(a.item) == b.item && a.part == b.part;
  };
  const std::vector<PartId>& parts = permit->second.call.parts;
  if (!std::equal(parts.begin(), parts.end(), call.parts.begin(), call.parts.end(), same) ||
      permit->second.call.plan != call.plan)
    return broken("attempt {} was permitted for other parts", name);
  permit->second.state = Attempt::State::flying;
  check_block(permit->second.call);
  if (permit->second.excused) return; // given up long ago, and it did not know
  for (const PartId& part : call.parts)
    if (plans_[call.plan].known_before.contains(part.item))
      broken("attempt {} asks what the cache knows, of item {}", name, part.item);
  for (const PartId& part : parts)
    each_twin(call.plan, part,
              [&](const PartId& twin) { check_not_called(permit->second, part, twin); });
}

// What the steps of an earlier life asked nobody knows who has not seen what they saw; nor what
// parts asked that are opened later.
void Ledger::coordinator_crashed() {
  ++crashes_;
  for (auto& [id, attempt] : attempts_) attempt.is_of_earlier_life |= !attempt.recorded;
}

// What the call asks has not been answered by another one, and is not being asked.
void Ledger::check_not_called(Attempt& call, const PartId& part, const PartId& twin) {
  for (const AttemptId id : part_of(call.call.plan, twin).calls) {
    Attempt& other = attempts_.at(id);
    const bool is_known =
        swarm_.jobs[call.call.plan].open_most == 0 && PartNumber::of(part.part).level == 0;
    if (twin != part && !is_known && other.is_of_earlier_life) continue;
    const bool may_answer = other.state == Attempt::State::answered ||
                            (other.state == Attempt::State::flying && id != call.call.attempt);
    if (!other.excused && !other.given_up && may_answer && !may_fly_beside(call, other))
      broken("part {} of item {} of plan {} is called by {}, while {}, of item {}, {}", part.part,
             part.item, call.call.plan, to_string(call.call.attempt), to_string(id), twin.item,
             other.state == Attempt::State::flying ? "is in flight" : "has answered it");
  }
}

// A second call is one that was permitted before the other's end was known; so many may be made as
// the user allows.
bool Ledger::is_beside_another(const SentCall& call, CallId id) {
  bool beside = false;
  each_part(call, [&](const Part& part) {
    beside |= std::any_of(part.calls.begin(), part.calls.end(), [&](AttemptId attempt) {
      const Attempt& other = attempts_.at(attempt);
      return other.id != id && !other.excused && !other.recorded &&
             other.state != Attempt::State::failed;
    });
  });
  return beside;
}

bool Ledger::may_fly_beside(Attempt& one, Attempt& other) {
  if (!one.is_second && !other.is_second) return false;
  Plan& plan = plans_[one.call.plan];
  plan.hedged.insert(one.is_second ? one.id : other.id);
  return 100 * plan.hedged.size() <= plan.items.size() * swarm_.jobs[one.call.plan].hedge_percent;
}

// Each call is made under a durable block that covers it.
void Ledger::check_block(const SentCall& call) {
  const std::string name = to_string(call.attempt);
  const auto it = blocks_.find({call.attempt.epoch(), call.attempt.block()});
  if (it == blocks_.end()) return broken("attempt {} names no durable block", name);
  const journal::BlockNote& block = it->second;
  if (call.attempt.n() == 0 || call.attempt.n() > block.calls)
    broken("attempt {} is not within its block's {} calls", name, block.calls);
  for (const PartId& part : call.parts)
    if (part.item >= marks_[plans_[call.plan].job])
      broken("attempt {} of item {} lies above its job's mark", name, part.item);
}

// Of a block that may still be drawn from, for a job that goes on.
void Ledger::permitted(const Permitted& permit) {
  const AttemptId attempt = permit.attempt;
  std::vector<PartId> parts = parts_of(permit.call);
  if (parts.empty()) return broken("permit {} is for a call that nobody has", to_string(attempt));
  const JobId job = gristmill::job_of(parts);
  const auto block = blocks_.find({attempt.epoch(), attempt.block()});
  if (block == blocks_.end()) return broken("permit {} names no durable block", to_string(attempt));
  if (permit.now > block->second.until + permit.slack)
    broken("permit {} is of a block that ended {} ms ago", to_string(attempt),
           to_ms(permit.now - block->second.until));
  const auto known = jobs_.find(job);
  // Of a job that failed the disk knows before COORDINATOR does.
  if (known == jobs_.end() ||
      (is_over(known->second.state) && known->second.state != JobState::failed))
    return broken("permit {} is for {}, which is over", to_string(attempt), to_string(job));
  if (plans_[known->second.plan].held)
    broken("permit {} is for {}, which somebody was told to stand", to_string(attempt),
           to_string(job));
  const auto [it, first] = attempts_.try_emplace(attempt);
  if (!first) return broken("attempt {} was permitted twice", to_string(attempt));
  it->second.call = {attempt, known->second.plan, permit.worker, parts, permit.process};
  it->second.id = permit.call;
  it->second.is_second = is_beside_another(it->second.call, permit.call);
  of_process_[permit.process].push_back(attempt);
  each_part(it->second.call, [&](Part& part) { part.calls.push_back(attempt); });
}

void Ledger::answered(AttemptId attempt) {
  attempts_.at(attempt).state = Attempt::State::answered;
}

void Ledger::failed(AttemptId id, Price most) {
  Attempt& attempt = attempts_.at(id);
  attempt.state = Attempt::State::failed;
  each_part(attempt.call, [&](Part& part) {
    part.failures += most == Price::retry;
    part.faults += most == Price::suspicion;
  });
}

// An outcome is Recorded only when the lines of its parts would survive a crash now.
void Ledger::recorded(AttemptId id) {
  const auto it = attempts_.find(id);
  if (it == attempts_.end())
    return broken("attempt {} is recorded, and was never sent", to_string(id));
  Attempt& attempt = it->second;
  attempt.recorded = true;
  const SentCall& call = attempt.call;
  if (attempt.state == Attempt::State::flying)
    broken("attempt {} is recorded before it ended", to_string(id));
  const auto job = jobs_.find(plans_[call.plan].job);
  const bool wanted = job != jobs_.end() && !is_over(job->second.state);
  // Nobody keeps the answers of a job that has failed.
  if (job != jobs_.end() && job->second.state == JobState::failed) attempt.given_up = true;
  if (attempt.state != Attempt::State::answered || !wanted || attempt.given_up) return;
  for (const PartId& part : call.parts)
    if (!part_of(call.plan, part).ended)
      broken("attempt {} was recorded before part {} of item {} was durable", to_string(id),
             part.part, part.item);
}

// Excuses.

template <class Which> void Ledger::excuse(Which which, bool deaths) {
  for (auto& [process, attempts] : of_process_) {
    for (const AttemptId id : attempts) {
      Attempt& attempt = attempts_.at(id);
      if (!which(attempt.call)) continue;
      if (!attempt.recorded) attempt.excused = true;
      // That it was recorded may be news to the worker, and to the coordinator after a restart.
      if (attempt.recorded && crashes_ == 0) continue;
      if (!deaths || std::exchange(attempt.died, true)) continue;
      each_part(attempt.call, [](Part& part) { ++part.deaths; });
    }
  }
}

// What its supervisor knew and had not recorded is gone, so anything of it may be called again.
void Ledger::room_crashed(JobId job) {
  const auto plan = plan_of(job);
  if (!plan) return;
  ++plans_[*plan].crashes;
  excuse_plan(*plan);
}

void Ledger::excuse_plan(std::size_t plan) {
  excuse([plan](const SentCall& call) { return call.plan == plan; }, false);
  for (const Item& item : plans_[plan].items)
    for (const auto& [number, part] : item.parts)
      for (const AttemptId id : part.calls) attempts_.at(id).given_up = true;
}

void Ledger::not_believed(std::uint64_t process) {
  for (const AttemptId id : of_process_[process])
    if (Attempt& attempt = attempts_.at(id); attempt.excused) attempt.given_up = true;
}

void Ledger::process_ended(std::uint64_t process) {
  excuse([process](const SentCall& call) { return call.process == process; }, false);
}

void Ledger::session_lost(std::size_t worker) {
  excuse([worker](const SentCall& call) { return call.worker == worker; }, true);
}

void Ledger::calls_given_up(std::size_t worker) {
  excuse([worker](const SentCall& call) { return call.worker == worker; }, false);
}

void Ledger::back(std::uint64_t process) {
  for (const AttemptId id : of_process_[process]) {
    const Attempt& attempt = attempts_.at(id);
    if (!attempt.excused || attempt.recorded) continue;
    each_part(attempt.call, [this](const Part& part) {
      for (const AttemptId other : part.calls) attempts_.at(other).excused = true;
    });
  }
}

void Ledger::grace_over(const std::set<std::uint64_t>& heard) {
  excuse([&heard](const SentCall& call) { return !heard.contains(call.process); }, false);
}

// Users.

void Ledger::asked_to_go_on(std::size_t number, bool retry) {
  Plan& plan = plans_[number];
  plan.go_on_asked = true;
  plan.retry_asked |= retry;
  plan.cancel_asked = plan.cancel_told = plan.held = false;
}

// What a question's answer says is on the disk, and holds from then on.
void Ledger::told(std::size_t number, JobState state) {
  Plan& plan = plans_[number];
  const auto on_disk = plan.job ? state_of(plan.job) : std::nullopt;
  if (!on_disk)
    return broken("somebody was told that plan {} is {}, the disk does not know it", number,
                  name_of(state));
  if (state == JobState::paused || state == JobState::cancelling) plan.held = true;
  if (state == JobState::cancelling) plan.cancel_told = true;
  // It may have gone on from there already; and what a job comes to by itself is shown at once.
  if (state < JobState::merging && *on_disk < state && !plan.go_on_asked)
    broken("somebody was told that {} is {}, on the disk it is {}", to_string(plan.job),
           name_of(state), name_of(*on_disk));
}

} // namespace gristmill::sim
