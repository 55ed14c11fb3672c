// A job desk alone, on virtual time: what it wants to happen is looked at, and what is to be
// durable becomes so when the test says it.
#pragma once

#include "actors/jobs/job_desk.hpp"

#include <catch2/catch.hpp>

namespace gristmill::job_desk_test {

using namespace gristmill::jobs;
using namespace std::chrono_literals;

inline JobSpec good_spec() {
  JobSpec spec;
  spec.inputs = {{"/data/a.jsonl", "a.jsonl"}};
  spec.shape.models = {"m"};
  return spec;
}

struct Scene {
  JobDesk desk;
  Moment moment{time_from_ns(0) + 1h, 5'000};
  Effects last; // what was wanted last

  explicit Scene(DeskOptions options = {}) : desk{std::move(options)} {}
  // With a job 7 that the journal holds so.
  Scene(JobState state, JobReason reason, DeskOptions options = {}) : Scene{std::move(options)} {
    journal::RecoveredJob job = held(state, reason);
    desk.recovered(std::move(job), moment.now);
  }

  static journal::RecoveredJob held(JobState state, JobReason reason = JobReason::none) {
    journal::RecoveredJob job;
    job.job = JobId{7};
    job.spec = to_json(good_spec());
    job.directory = "jobs/7";
    job.state = state;
    job.reason = reason;
    return job;
  }
  void pass(std::chrono::seconds time) {
    moment.now += time;
    moment.unix_seconds += time.count();
  }
  void start() {
    last = desk.money_assumed();
    last.add(desk.started(moment));
  }
  void ask(Question question, std::uint64_t token = 1) {
    last = desk.asked(std::move(question), token, moment);
  }
  void report(JobReport report) { last = desk.reported(std::move(report), moment); }
  // All that was appended last is durable now, and follows.
  void durable() {
    Effects next;
    for (const Effect& effect : last.list) {
      const auto* append = std::get_if<Append>(&effect);
      if (append == nullptr || !append->then) continue;
      if (const auto* changed = std::get_if<JobDurable>(&*append->then))
        next.add(desk.durable(*changed, moment));
      if (const auto* gone = std::get_if<JobForgotten>(&*append->then))
        next.add(desk.forgotten(*gone));
    }
    last = std::move(next);
  }
  void stop(JobState state, JobReason reason) {
    JobReport stopped{.job = JobId{7}, .counts = {}, .stop = StateChange{state, reason, "why"}};
    report(std::move(stopped));
  }
  // All of its items are terminal: it is merged, is over, and its rooms are gone.
  void finish() {
    report({.job = JobId{7}, .counts = {}, .all_terminal = true, .stop = {}});
    last = desk.merged({JobId{7}, ""}, moment);
    durable();
  }
  void rooms_go() {
    last = desk.room_gone(JobId{7}, JobRoom::supervisor, moment);
    last.add(desk.room_gone(JobId{7}, JobRoom::merger, moment));
  }

  const JobEntry& job() const { return *desk.lives().find(JobId{7}); }
  template <class T> std::vector<T> wanted() const {
    std::vector<T> found;
    for (const Effect& effect : last.list)
      if (const T* of_kind = std::get_if<T>(&effect)) found.push_back(*of_kind);
    return found;
  }
  // The only change of a job that is appended.
  journal::JobChange appended() const {
    std::vector<journal::JobChange> changes;
    for (const Append& append : wanted<Append>())
      changes.insert(changes.end(), append.part.jobs.begin(), append.part.jobs.end());
    REQUIRE(changes.size() == 1);
    return changes.front();
  }
  bool refused(ErrorCode code, std::uint64_t token = 1) const {
    const auto refusals = wanted<Refuse>();
    return last.list.size() == 1 && refusals.size() == 1 && refusals[0].token == token &&
           refusals[0].error.code == code;
  }
  // What kinds of effects, in their order.
  std::vector<std::size_t> order() const {
    std::vector<std::size_t> kinds;
    for (const Effect& effect : last.list) kinds.push_back(effect.index());
    return kinds;
  }
};

template <class... T> std::vector<std::size_t> kinds() {
  return {Effect{T{}}.index()...};
}

} // namespace gristmill::job_desk_test
