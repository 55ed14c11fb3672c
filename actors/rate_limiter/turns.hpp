// TURNS: whose call goes next among the jobs whose calls wait for one account. Nothing is queued
// here: workers ask again by themselves, so a job waits while a worker that was refused for it may
// still ask. Of two that wait the one that FAIR SHARE puts first goes, and the other one is told
// to ask again a little later.
// Invariant: a job has to yield only to one that waits, and to that one no longer than `patience`
// after it said that it would ask.
#pragma once

#include "actors/kit/defaults.hpp"
#include "actors/kit/fair_share.hpp"
#include "actors/kit/time.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace gristmill::rate_limiter {

class Turns {
public:
  // A worker that needs longer than a permit lives could not use the permit either.
  static constexpr Duration patience = defaults::permit_life;
  static constexpr Duration again = std::chrono::milliseconds{20};
  // Where nobody knows when a place comes free one of a job's workers looks so often: a hundred
  // times while a call is answered, but within these bounds.
  static constexpr Duration look_least = std::chrono::milliseconds{10},
                            look_most = std::chrono::milliseconds{100};
  // In parts of a minute's budget: how far a job may get ahead of one that waits, so that a worker
  // with calls of one job only takes more than one at a time; and what may be owed.
  static constexpr double lead_max = 1.0 / 600, owed_max = 1.0 / 240;

  // A worker asks for a call of the job …
  void asks(JobId job, const Share& share, SessionId session, Time now);
  // … which may not go, so that it asks again at `at`, …
  void waits(JobId job, SessionId session, Time at);
  // When it is to ask again for a place. One comes free when a call has been answered, and an
  // answer takes so long (0 = not known). Behind the other workers, so that all of them ask about
  // as often as one would; or with others of the job's calls, if it asks for those before.
  Time line_up(JobId job, SessionId session, double answer_s, Time now);
  // … or has something else to wait for.
  void leaves(JobId job, SessionId session);
  void forget(JobId job);
  std::size_t size() const { return std::max(jobs_.size(), shares_.size()); }
  bool knows(JobId job) const { return jobs_.contains(job); }
  bool nobody_waits(Time now) const;

  struct Yield {
    Time until{};
    std::size_t to = 0; // so many jobs
  };
  // Whether it is the turn of others that wait.
  std::optional<Yield> yields(JobId job, Time now) const;
  // What a call of it takes, in parts of a minute's budget.
  void served(JobId job, double cost) { shares_.served(job, cost); }

private:
  struct Job {
    std::map<SessionId, Time> asks_at; // of workers that were refused
    Time last_in_line{Time::min()};    // of those that wait for a place
  };
  // When the next one asks, of those that may still do so; nothing: the job waits for nothing.
  static std::optional<Time> waits_until(const Job& job, Time now);

  void sweep(Time now);

  std::map<JobId, Job> jobs_;
  std::set<JobId> waiting_; // those with workers that were refused; of many jobs few
  Time swept_at_{Time::min()};
  FairShare shares_{owed_max};
};

} // namespace gristmill::rate_limiter
