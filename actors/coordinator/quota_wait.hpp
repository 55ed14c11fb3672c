// QUOTA WAIT: jobs that are paused because their endpoints' accounts are used up, and when each
// goes on to see whether they still are. Invariant: a job that is paused again soon waits twice as
// long, at most an hour.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace gristmill::coordinator {

class QuotaWait {
public:
  static constexpr Duration least = std::chrono::seconds{5};
  static constexpr Duration most = std::chrono::hours{1};
  // One that has gone on for longer was answered meanwhile.
  static constexpr Duration soon = std::chrono::seconds{60};

  void paused(JobId job, Time now) {
    Wait& wait = jobs_[job];
    const bool again = wait.interval != Duration::zero() && now < wait.due + soon;
    wait.interval = again ? std::min(2 * wait.interval, most) : least;
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

} // namespace gristmill::coordinator
