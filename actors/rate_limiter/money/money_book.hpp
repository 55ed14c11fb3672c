// MONEY BOOK: the jobs that have a budget of money, and what calls of a model cost. Says whether a
// call may go as far as money is concerned, and settles it when it has ended.
// Invariant: a job with a budget makes no call whose model has no price.
#pragma once

#include "actors/rate_limiter/due_times.hpp"
#include "actors/rate_limiter/money/money_account.hpp"
#include "protocol/job/pools.hpp"
#include "protocol/job/usd.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::rate_limiter {

// What a call takes of its job's budget; no account = the job has none.
struct MoneyCharge {
  std::shared_ptr<MoneyAccount> account;
  Usd most{}; // that it may cost
};

class MoneyBook {
public:
  explicit MoneyBook(std::vector<PoolSpec> pools) : pools_{std::move(pools)} {}

  void opened(const JobBudget& job);
  void closed(JobId job) {
    jobs_.erase(job);
    due_.forget(job);
  }
  void resumed(const JobResumed& job);
  bool has_budget(JobId job) const { return jobs_.contains(job); }

  struct Answer {
    MoneyCharge charge;
    std::optional<MoneyAccount::Refusal> refusal;
    std::optional<BudgetStop> stop; // no waiting helps
    std::string exceeds = {};       // set: the whole budget would not do, because …
  };
  // `model`: that the call asks for; empty = the default of its job.
  Answer ask(const AcquireCall& call, const std::string& model, Time now);

  void drawn(const MoneyCharge& charge);
  void ended(const MoneyCharge& charge, const Ended& ended);

  // Of calls that earlier lives permitted.
  void claimed(const ClaimedCall& call);
  void ended_earlier(const Ended& ended);
  void earlier_lives_told(bool all);

  // `next_number` names the notes, and rises with each.
  std::vector<journal::MoneyNote> reserve(std::uint64_t& next_number, Time now);
  void durable(std::uint64_t number);
  Time wake_at() const { return due_.next(); }
  std::size_t size() const { return jobs_.size(); }

private:
  struct Job {
    std::shared_ptr<MoneyAccount> account;
  };
  void changed(const MoneyAccount& account);

  std::vector<PoolSpec> pools_;
  std::map<JobId, Job> jobs_;
  // No event walks all jobs: these are the ones with something to do.
  std::set<JobId> changed_;
  DueTimes<JobId> due_;
  std::unordered_map<std::uint64_t, JobId> writing_; // by the number of their note
  std::unordered_map<AttemptId, JobId> claimed_;     // calls of earlier lives
};

} // namespace gristmill::rate_limiter
