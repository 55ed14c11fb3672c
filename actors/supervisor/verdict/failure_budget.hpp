// FAILURE BUDGET: stops a job of which too many items fail, or whose calls every endpoint refuses.
// Counting begins anew whenever the job is resumed, so that whoever has mended the cause is not
// stopped by old failures. Invariant: causes are counted in an ErrorBook, so memory does not grow
// with the corpus.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/doubt.hpp"
#include "actors/words/error_book.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/state.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace gristmill::supervisor {

inline constexpr std::uint32_t refusals_of_proved = 16; // in a row, until it counts as refusing
// Keys rotate and models roll out: only who says the same for so long will go on saying it.
inline constexpr Duration refusals_pause_after = std::chrono::seconds{20};
inline constexpr std::size_t models_max = 64;              // of an endpoint, that are remembered
inline constexpr std::uint64_t failure_percent_from = 100; // terminal items before a share counts

// An endpoint's refusal of a call, with the class config.
struct Refusal {
  EndpointId endpoint;
  std::string url;
  std::string what; // tells one kind of refusal from another
  std::string sample;
  std::size_t alternatives = 0; // how many endpoints serve such calls, this one too
};

class FailureBudget {
public:
  explicit FailureBudget(const JobSpec& spec)
      : failures_max_{spec.policy.max_failures}, percent_max_{spec.policy.max_failure_percent} {}

  // An item has its result. `sample` tells of a failed one, for people.
  std::optional<StateChange> ended(OutcomeClass cls, const std::string& code,
                                   const std::string& sample);

  // An endpoint took a call, whatever it made of it; or refused one with the class config.
  void took(EndpointId endpoint);
  std::optional<StateChange> refuses(const Refusal& refusal, Time now);
  // It has taken calls of this job, so what it refuses may be the item's own fault.
  bool takes(EndpointId endpoint) const { return proved_.contains(endpoint); }
  // It answered a call that asked for this model.
  void served(EndpointId endpoint, const std::string& model);
  bool serves(EndpointId endpoint, const std::string& model) const;

  void resumed();

private:
  std::uint64_t failures_max_;
  std::uint32_t percent_max_;
  std::uint64_t terminal_ = 0, failed_ = 0;
  ErrorBook causes_{ErrorBook::Sample::first};
  std::set<EndpointId> proved_;
  std::map<EndpointId, std::set<std::string>> served_; // of each the first models_max
  struct Refusals {                                    // in a row
    std::uint32_t count = 0;
    std::string what;
    Time since{}; // the same
  };
  std::map<EndpointId, Refusals> refusals_;
};

} // namespace gristmill::supervisor
