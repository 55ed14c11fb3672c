// FAILURE BUDGET: when a job should not go on, because too many of its items fail or because every
// endpoint refuses its calls. Counting begins anew whenever the job is resumed, so that somebody
// who has mended the cause is not stopped by the past. Invariant: at most failure_causes_max causes
// are told apart, so memory does not follow the corpus.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/job_spec.hpp"
#include "protocol/job_state.hpp"
#include "protocol/outcome_class.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace gristmill::supervisor {

inline constexpr std::size_t failure_causes_max = 64;
inline constexpr std::uint32_t refusals_of_proved = 16;    // in a row, until it counts as refusing
inline constexpr std::uint64_t failure_percent_from = 100; // terminal items before a share counts

class FailureBudget {
public:
  explicit FailureBudget(const JobSpec& spec)
      : failures_max_{spec.max_failures}, percent_max_{spec.max_failure_percent} {}

  // An item has its result. `sample` tells of a failed one, for people.
  std::optional<StateChange> ended(OutcomeClass cls, const std::string& code,
                                   const std::string& sample);

  // An endpoint took a call, whatever it made of it; or refused one with the class config.
  void took(EndpointId endpoint);
  // `alternatives`: how many endpoints serve such calls, this one too.
  std::optional<StateChange> refuses(EndpointId endpoint, const std::string& url,
                                     const std::string& sample, std::size_t alternatives);
  // It has taken calls of this job, so what it refuses may be the item's own fault.
  bool takes(EndpointId endpoint) const { return proved_.contains(endpoint); }

  void resumed();

private:
  struct Cause {
    std::uint64_t count = 0;
    std::string sample; // of the first
  };

  std::uint64_t failures_max_;
  std::uint32_t percent_max_;
  std::uint64_t terminal_ = 0, failed_ = 0;
  std::map<std::string, Cause> causes_; // by class and code
  std::set<EndpointId> proved_;
  std::map<EndpointId, std::uint32_t> refusals_; // in a row, by endpoint
};

} // namespace gristmill::supervisor
