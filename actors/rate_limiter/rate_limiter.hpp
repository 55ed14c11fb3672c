// RATE LIMITER: one per cluster. Says which calls may start, and where.
//   hears  Acquire    from COORDINATOR, for calls that a worker could start now
//          Ended      from COORDINATOR, how a permitted call ended, or that it is lost
//          Opened, Announced and their ends from COORDINATOR: which accounts there are
//          Durable    from JOURNAL: a budget block may be drawn from
//   tells  COORDINATOR permits or "wait until, because", at once; JOURNAL blocks to write
//   never  keeps a queue, touches a clock, a socket or an item's content
// Invariant: a permit is drawn from the endpoint's account and from the job's, or from none.
#pragma once

#include "actors/kit/permit_words.hpp"
#include "actors/kit/records.hpp"
#include "actors/rate_limiter/account.hpp"

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::rate_limiter {

class RateLimiter {
public:
  explicit RateLimiter(Epoch epoch) : epoch_{epoch} {}

  void recovered(const std::vector<journal::BlockNote>& blocks, Time now, bool same_boot);
  void endpoint_added(const EndpointOffer& endpoint, Time now);
  void endpoint_gone(EndpointId id);
  void job_opened(const JobBudget& job, Time now);
  void job_closed(JobId job);

  Granted acquire(const Acquire& acquire, Time now);
  void ended(const Ended& ended, Time now);
  // A worker is making this call since before our life began.
  void claimed(const ClaimedCall& call);
  void durable(std::uint64_t block);

  // Blocks that should be written now.
  std::vector<journal::BlockNote> reserve(Time now);
  std::uint32_t in_flight(EndpointId id) const;

private:
  struct Endpoint {
    EndpointOffer offer;
    Account* account = nullptr;
  };
  struct Job {
    JobBudget budget;
    Account* account = nullptr;
  };
  struct Out {
    Account* endpoint = nullptr;
    Account* job = nullptr;
    Charge endpoint_charge, job_charge;
  };

  Account& account(const std::string& name, const AccountLimits& limits, Time now);
  // The endpoint with the most headroom that lets the call go, or the earliest refusal.
  Endpoint* choose(const Job& job, SessionId session, const AcquireCall& call, Time now,
                   Refusal& refusal);
  bool may_use(const Endpoint& endpoint, const Job& job, SessionId session) const;

  Epoch epoch_;
  std::uint64_t next_block_ = 1;
  std::unordered_map<std::string, std::unique_ptr<Account>> accounts_;
  std::vector<journal::BlockNote> spent_; // of earlier lives, for accounts not yet opened
  std::unordered_map<EndpointId, Endpoint> endpoints_;
  std::unordered_map<JobId, Job> jobs_;
  std::unordered_map<AttemptId, Out> out_;
};

} // namespace gristmill::rate_limiter
