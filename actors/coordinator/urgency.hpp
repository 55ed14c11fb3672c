// URGENCY: what share a job with a deadline gets. As the work that is left grows against the time
// that is left its weight rises, and when no weight would do it goes before all others. A plain
// function of what is known now, which corrects itself each time that it is asked again.
// Invariant: never less than the job's own share.
#pragma once

#include "actors/coordinator/fair_share.hpp"

#include <algorithm>

namespace gristmill::coordinator {

// Above every priority that a user may give.
inline constexpr std::uint32_t urgent_priority = 1'000;

struct DeadlineFacts {
  Share own;
  double seconds_left = 0;
  double items_left = 0;
  double rate = 0;            // calls per second of the job, of late
  double rate_all = 0;        // … of it and those that it competes with; 0 = not known yet
  double weight_others = 0;   // of those of its own priority that have work
  bool behind_others = false; // one of a higher priority has work
};

inline Share urgent(const DeadlineFacts& facts) {
  // Estimates are wrong, and the last items take longer.
  constexpr double reserve = 1.25, nearly_all = 0.8;
  Share share = facts.own;
  const auto go_first = [&share] { share.priority = std::max(share.priority, urgent_priority); };
  if (facts.items_left <= 0) return share;
  if (facts.seconds_left <= 0) {
    go_first();
    return share;
  }
  if (facts.rate_all <= 0) return share;
  const double needed = reserve * facts.items_left / facts.seconds_left;
  const double part = needed / facts.rate_all;
  if (part >= nearly_all || (facts.behind_others && facts.rate < needed)) {
    go_first();
  } else {
    share.weight = std::max(share.weight, facts.weight_others * part / (1 - part));
  }
  return share;
}

} // namespace gristmill::coordinator
