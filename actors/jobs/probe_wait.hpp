// PROBE WAIT: jobs that are paused because of their endpoints, and when each goes on by itself to
// see whether that is over. Invariant: a job without credit that is paused again soon waits twice
// as long, at most an hour; one whose endpoints are away or refuse it goes on once a minute.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/state.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace gristmill::jobs {

// Whether a job of a cluster that is paused for this goes on by itself now and then.
constexpr bool goes_on_to_probe(JobReason reason) {
  return reason == JobReason::quota || reason == JobReason::endpoint;
}

class ProbeWait {
public:
  static constexpr Duration least = std::chrono::seconds{5};
  static constexpr Duration most = std::chrono::hours{1};
  // One that has gone on for longer was answered meanwhile.
  static constexpr Duration soon = std::chrono::seconds{60};
  static constexpr Duration of_endpoints = std::chrono::seconds{60};

  void paused(JobId job, JobReason reason, Time now) {
    Wait& wait = jobs_[job];
    const bool again = wait.interval != Duration::zero() && now < wait.due + soon;
    wait.interval = again ? std::min(2 * wait.interval, most) : least;
    if (reason == JobReason::endpoint) wait.interval = of_endpoints;
    wait.due = now + wait.interval;
    wait.paused = true;
  }
  // The jobs that go on now.
  std::vector<JobId> due(Time now) {
    std::vector<JobId> due;
    for (auto& [job, wait] : jobs_) {
      if (!wait.paused || now < wait.due) continue;
      wait.paused = false;
      due.push_back(job);
    }
    return due;
  }
  void forget(JobId job) { jobs_.erase(job); }
  std::size_t size() const { return jobs_.size(); }

private:
  struct Wait {
    Duration interval{};
    Time due{};
    bool paused = false;
  };
  std::map<JobId, Wait> jobs_;
};

} // namespace gristmill::jobs
