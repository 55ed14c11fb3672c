// WAITS: why a job or one of its calls waits: who is there, who has room, whose turn it is, and
// what RATE LIMITER last said to the job's calls.
// Invariant: a job keeps at most `reasons_max` refusals, and none is told once it is not news.
#pragma once

#include "actors/coordinator/sessions/roster.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/wait_reason.hpp"

#include <map>
#include <optional>
#include <string>

namespace gristmill::coordinator {

// What others know of a job that may have to wait.
struct JobFacts {
  std::optional<std::string> unserved{};      // nobody serves its model
  std::optional<std::string> item_unserved{}; // no worker reaches what a queued call asks for
  std::size_t queued = 0;                     // calls
  std::size_t others_queued = 0;              // jobs that have calls, too
  std::optional<Time> claims_until{};         // it waits for what earlier sessions hold
};

class Waits {
public:
  static constexpr std::size_t reasons_max = 16; // of a job, for as many models

  void job_opened(JobId job) { jobs_[job] = {}; }
  void job_closed(JobId job) { jobs_.erase(job); }
  void hear(const Waiting& waiting, Time now);

  // Why no call of the job begins though it has some; none = that is not the reason.
  WaitReason why_waiting(JobId job, const JobFacts& facts, const SessionMap& sessions,
                         Time now) const;
  // How a call stands that the worker has.
  WaitReason standing(const Session& session, const Assigned& assigned, Time now) const;

private:
  struct Heard {
    WaitReason reason{};
    Time fresh_until{};
  };
  const WaitReason* fresh_reason(JobId job, const std::string* model, Time now) const;

  // Of open jobs what the limiter last said, by the calls' model.
  std::map<JobId, std::map<std::string, Heard>> jobs_;
};

} // namespace gristmill::coordinator
