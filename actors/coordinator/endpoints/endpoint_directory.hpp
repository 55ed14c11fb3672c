// ENDPOINT DIRECTORY: the endpoints of the configured pools, those that workers announce and those
// that jobs bring along. Which models they serve, who reaches them, what their calls cost, and what
// they have met in this life of ours.
// Invariant: an endpoint is listed as long as the configuration, a session or an open job names it.
#pragma once

#include "actors/coordinator/assigned.hpp"
#include "actors/coordinator/endpoints/endpoint_errors.hpp"
#include "actors/coordinator/endpoints/queue_readers.hpp"
#include "actors/coordinator/views.hpp"
#include "actors/kit/event.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/words/permits.hpp"
#include "protocol/job/pools.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/rules/call_cost.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace gristmill::coordinator {

class EndpointDirectory {
public:
  using Announced = std::vector<EndpointId>; // by one session

  explicit EndpointDirectory(std::vector<PoolSpec> pools) : pools_{std::move(pools)} {}

  // ---- which there are --------------------------------------------------------------------------
  std::vector<EndpointOffer> started(); // first of all: those of the pools
  // In the order of the Hello.
  std::vector<EndpointOffer> announced(SessionId session, const protocol::Hello& hello);
  void gone(const Announced& endpoints);
  // Those that it brings along; what earlier lives of ours may have cost beyond what is recorded.
  std::vector<EndpointOffer> job_opened(JobId job, const JobSpec& spec, Usd earlier_cost);
  std::vector<EndpointId> job_closed(JobId job); // that only the job named

  // ---- who serves what ------------------------------------------------------------------------
  // What a worker must know to make the job's calls, beside what it announces itself.
  const std::vector<protocol::EndpointEntry>& of_job(JobId job) const;
  // Whether a call of the job for this model can be made by who announces these. A call waits here,
  // not with a worker that cannot make it: whoever can may come at any time.
  bool reaches(JobId job, const std::string& model, const Announced& by) const;
  // Whether all of `mine` serve one model, for pools, which `others` serve elsewhere.
  bool serve_elsewhere(JobId job, const Announced& mine, const Announced& others) const;
  // Whether a worker can have looked at it: it is everybody's, or its own.
  bool is_reached(EndpointId endpoint, const Announced& by) const;
  // How many endpoints serve calls such as this endpoint was given, it too.
  std::size_t alternatives_of(JobId job, EndpointId endpoint) const;
  std::vector<JobId> rivals_of(JobId job) const; // jobs that an endpoint may serve as well
  std::string url_of(EndpointId endpoint) const; // "" = not known

  // As sentences; empty or nothing: that is not so.
  std::string why_refused(const JobSpec& spec) const;   // no pool serves the new job
  std::string why_no_budget(const JobSpec& spec) const; // its calls have no prices
  std::optional<std::string> why_unserved(JobId job) const;
  std::string why_item_unserved(const std::string& model) const;
  std::string why_never_served(JobId job, const std::string& model) const; // nor ever will be

  // ---- what calls were there ------------------------------------------------------------------
  // No report takes a job beyond its budget: a permitted call costs what was reserved for it at
  // most, those of earlier lives together what these may have spent.
  CallCost cost_of(const protocol::Outcome& outcome, const Assigned& given);
  // How the call ended; what is to be told of it.
  std::optional<Event> ended(const protocol::Outcome& outcome, JobId job, Time now);
  // A worker looked at the endpoint's queue: when it should again.
  protocol::ReadPause queue_seen(EndpointId endpoint, Time now) {
    return queue_readers_.pause(endpoint, now);
  }
  // What the endpoint of that URL that failed last has met; nullptr = none has failed.
  const EndpointErrors* errors_at(const std::string& url) const;
  // `of_jobs`: also what only jobs name. `unix_now`: the same moment for people.
  std::vector<PoolView> pools(bool of_jobs, const std::map<EndpointId, std::string>& announcers,
                              Time now, std::int64_t unix_now) const;
  void measure(Sizes& sizes) const;

private:
  struct Endpoint {
    EndpointSpec spec{};
    std::string model{}; // empty = a job's own
    bool pooled = false; // of the configuration: it stays
    bool operator==(const Endpoint&) const = default;
  };
  struct Job {
    std::set<std::string> models{}; // of all its calls; none = each item names its own
    bool brings_own = false;
    std::vector<protocol::EndpointEntry> endpoints{};
    bool has_budget = false; // of money
    Usd earlier_cost{};      // that calls of earlier lives may still cost
  };

  EndpointId id_of(const Endpoint& endpoint, Nonce process);
  const std::string& model_of(EndpointId id) const; // "" = not known, or a job's own
  bool is_served(const std::string& model) const;
  std::set<std::string> served() const;
  static bool compete(const Job& a, const Job& b);

  std::vector<PoolSpec> pools_; // as configured
  std::map<EndpointId, Endpoint> endpoints_;
  std::vector<EndpointId> pooled_;                // in the order of the configuration
  std::map<EndpointId, std::size_t> jobs_naming_; // an endpoint of their own: how many do
  std::map<JobId, Job> jobs_;
  std::map<EndpointId, EndpointErrors> errors_; // of those that have met some
  QueueReaders queue_readers_;
};

} // namespace gristmill::coordinator
