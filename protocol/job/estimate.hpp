// What a running job will have used when it is done, by what its items have used so far. Invariant:
// nothing is estimated before the input is counted and an item is done.
#pragma once

#include "protocol/job/state.hpp"
#include "protocol/job/usd.hpp"

#include <algorithm>
#include <optional>

namespace gristmill {

struct JobEstimate {
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
  Usd cost{};
};

inline std::optional<JobEstimate> estimate_of(const JobCounts& counts) {
  if (!counts.total_known || counts.terminal() == 0) return std::nullopt;
  const double share = static_cast<double>(counts.total) / static_cast<double>(counts.terminal());
  const auto whole = [share](std::uint64_t used) {
    return std::max(used, static_cast<std::uint64_t>(static_cast<double>(used) * share));
  };
  return JobEstimate{whole(counts.prompt_tokens), whole(counts.completion_tokens),
                     Usd::from_nano(whole(counts.cost.nano()))};
}

} // namespace gristmill
