// The users of the simulated cluster: they submit, pause, go on, cancel, retry and forget jobs, and
// ask how things stand. They decide from the journal and not from what they were answered, so that
// a lost answer leaves nobody waiting; what they are answered must be on the disk.
#include "tests/sim/world_parts.hpp"

namespace gristmill::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto act_every = milliseconds{150};
constexpr auto answer_within = seconds{120};
constexpr auto hunger_max = seconds{100};
// A worker whose calls hang keeps each for 55 s, and a job may be unlucky twice.
constexpr auto hang_most = seconds{60};
constexpr std::uint64_t poll_token = 2;

} // namespace

void World::users_act() {
  if (coordinator_)
    for (std::size_t plan = 0; plan < users_.size(); ++plan) act(plan);
  for (std::size_t plan = 0; plan < users_.size(); ++plan) mind_hunger(plan);
  if (!done()) after(act_every, [this] { users_act(); });
}

template <class Question> void World::ask(std::size_t plan, Question question) {
  User& user = users_[plan];
  user.token = next_token_++;
  user.asked_at = now_;
  asked_.insert(user.token);
  trace("user {} asks for {}", plan, static_cast<int>(user.asked));
  tell_coordinator(wiring::Ask{user.token, {std::move(question)}});
}

void World::act(std::size_t plan) {
  User& user = users_[plan];
  const JobPlan& wish = swarm_.jobs[plan];
  const Duration age = now_ - begin_;
  if (user.done) return;
  if (user.asked != User::Asked::nothing) {
    // The disk may hold up an answer; nothing else may.
    if (healed_ && now_ > std::max(user.asked_at, healed_at_) + answer_within)
      violation(fmt::format("a question of user {} is not answered", plan));
    return;
  }
  const auto job = ledger_.job_of(plan);
  const auto state = job ? ledger_.state_of(*job) : std::nullopt;
  const auto asks = [&](User::Asked what, auto question) {
    user.asked = what;
    ask(plan, std::move(question));
  };
  if (!job) {
    if (age >= wish.submit_at) asks(User::Asked::submit, wiring::SubmitJob{spec_of(plan)});
  } else if (!state) {
    user.done = true;                      // forgotten
  } else if (*state == JobState::failed) { // a room of it threw
    ledger_.asked_to_go_on(plan, false);
    asks(User::Asked::go_on, wiring::ReopenJob{*job, {}, {}});
  } else if (is_over(*state)) {
    if (wish.retries_failed && !user.retried && ledger_.items_failed(plan) > 0) {
      user.retried = true;
      if (random_.chance(0.7)) ledger_.mended(plan);
      ledger_.asked_to_go_on(plan, true);
      asks(User::Asked::retry, wiring::ReopenJob{*job, {}, std::vector<OutcomeClass>{}});
    } else if (wish.forgets && !swarm_.one_process) {
      user.over_at = std::min(user.over_at, now_);
      if (healed_ || now_ >= user.over_at + wish.forgets_after)
        asks(User::Asked::forget, wiring::ForgetJob{*job});
    } else {
      user.done = true;
    }
  } else if (swarm_.one_process &&
             !coordinator_->rooms.find({wiring::Recipient::supervisor, *job})) {
    ledger_.asked_to_go_on(plan, false); // `run` was begun again
    asks(User::Asked::go_on, wiring::ReopenJob{*job, spec_of(plan), {}});
  } else if (append(plan, *job)) {
  } else if (*state == JobState::paused) {
    if (!healed_ && now_ < user.paused_at + wish.resume_after) return;
    ledger_.asked_to_go_on(plan, false);
    wiring::ReopenJob go_on{*job, {}, {}};
    if (wish.budget) {
      ledger_.raised(plan, ledger_.cap(plan) + ledger_.cap(plan));
      go_on.budget = ledger_.cap(plan);
    }
    asks(User::Asked::go_on, std::move(go_on));
  } else if (wish.pause_at != Duration::zero() && !user.paused && age >= wish.pause_at) {
    user.paused = true;
    user.paused_at = now_;
    asks(User::Asked::pause, wiring::PauseJob{*job});
  } else if (wish.cancel_at != Duration::zero() && !user.cancelled && age >= wish.cancel_at) {
    user.cancelled = true;
    ledger_.asked_to_cancel(plan);
    asks(User::Asked::cancel, wiring::CancelJob{*job});
  }
}

// From what the disk holds; now and then once more what is there, as one does who lost the answer.
bool World::append(std::size_t plan, JobId job) {
  User& user = users_[plan];
  const JobPlan& wish = swarm_.jobs[plan];
  const journal::RecoveredJob& known = store_.job(job)->known;
  if (wish.appends == 0 || known.is_closed) return false;
  if (!healed_ && now_ < user.appended_at + wish.append_every) return false;
  user.appended_at = now_;
  if (known.appends.size() == wish.appends) {
    user.asked = User::Asked::close;
    ask(plan, wiring::CloseInputs{job});
    return true;
  }
  const bool again = !known.appends.empty() && random_.chance(0.2);
  user.appends = known.appends.size() + (again ? 0 : 1);
  user.asked = User::Asked::append;
  const std::string_view text = piece(plan, user.appends);
  const std::string name = fmt::format("piece-{}", user.appends);
  ask(plan, wiring::AppendInputs{job, name, std::string{text}, text.size(), {{name, name}}});
  return true;
}

// Whether the others leave it at least a half, job by job: each has a lower priority, or the same
// and no more weight, and none has a deadline for which it goes first.
bool World::goes_first(std::size_t plan) const {
  const auto runs = [this](std::size_t n) {
    const auto job = ledger_.job_of(n);
    return job && ledger_.state_of(*job) == JobState::running;
  };
  const auto rank = [](const JobPlan& job) { return std::pair{job.priority, job.weight}; };
  const JobPlan& mine = swarm_.jobs[plan];
  if (!runs(plan)) return false;
  for (std::size_t n = 0; n < users_.size(); ++n) {
    const JobPlan& other = swarm_.jobs[n];
    if (n == plan || !runs(n)) continue;
    if (rank(other) > rank(mine) || other.deadline != Duration::zero()) return false;
  }
  return true;
}

// No job starves behind one that it goes before.
void World::mind_hunger(std::size_t plan) {
  User& user = users_[plan];
  if (!healed_ || !goes_first(plan)) user.fed_at = now_;
  Duration most = hunger_max;
  if (swarm_.has_days()) most += sim_day;
  if (swarm_.thread_hangs > 0) most += hang_most;
  if (now_ > user.fed_at + most)
    violation(fmt::format("no call of plan {} for {} s, and no other job goes before it", plan,
                          to_seconds(hunger_max)));
}

void World::answer(wiring::Answer answer) {
  if (!coordinator_) return;
  if (answer.token == poll_token) return polled(answer.jobs);
  if (asked_.erase(answer.token) == 0) violation("a question is answered twice");
  for (std::size_t plan = 0; plan < users_.size(); ++plan) {
    User& user = users_[plan];
    if (user.asked == User::Asked::nothing || user.token != answer.token) continue;
    const User::Asked asked = std::exchange(user.asked, User::Asked::nothing);
    if (answer.error) {
      trace("user {} is refused: {}", plan, answer.error->message);
      const bool raced =
          answer.error->code == ErrorCode::conflict || answer.error->code == ErrorCode::not_found;
      if (asked == User::Asked::submit && swarm_.serving == Serving::announced) return; // not yet
      if (asked == User::Asked::submit || !raced)
        violation("a question was refused: " + answer.error->message);
      return;
    }
    if (asked == User::Asked::append && answer.appended.value().number != user.appends)
      violation(fmt::format("append {} of plan {} is said to be {}", user.appends, plan,
                            answer.appended->number));
    const JobState state = answer.jobs.front().state;
    const bool for_a_moment = answer.jobs.front().reason == JobReason::disk; // and not recorded
    trace("user {} is told: {}", plan, name_of(state));
    if (asked == User::Asked::forget) {
      if (const auto job = ledger_.job_of(plan); job && ledger_.is_known(*job))
        violation("a job is said to be forgotten, the disk knows it");
    } else if (!for_a_moment) {
      ledger_.told(plan, state);
    }
  }
}

// A client that asks all the time must not keep the coordinator from anything.
void World::poll(std::uint64_t life) {
  if (!coordinator_ || life != life_) return;
  tell_coordinator(wiring::Ask{poll_token, {wiring::ListJobs{}}});
  after(swarm_.poll, [this, life] { poll(life); });
}

void World::polled(const std::vector<wiring::JobView>& views) {
  for (const wiring::JobView& view : views) {
    const auto plan = ledger_.plan_of(view.id);
    if (!plan) continue; // not on the disk yet
    JobCounts& seen = users_[*plan].counts;
    const JobCounts& now = view.counts;
    // A retry takes failed items back; nothing else may take a count back.
    if (now.completed < seen.completed || (!users_[*plan].retried && now.failed < seen.failed))
      violation(fmt::format("{}: {} completed and {} failed were {} and {}", to_string(view.id),
                            now.completed, now.failed, seen.completed, seen.failed));
    seen = now;
  }
}

} // namespace gristmill::sim
