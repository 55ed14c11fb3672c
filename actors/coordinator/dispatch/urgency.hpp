// URGENCY: what share a job with a deadline gets. As the work that is left grows against the time
// that is left its weight rises, and when no weight would do it goes before all others. A plain
// function of what is known now, which corrects itself each time that it is asked again.
// Invariant: never less than the job's own share.
#pragma once

#include "actors/kit/fair_share.hpp"
#include "actors/kit/time.hpp"
#include "protocol/job/spec.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::coordinator {

// Above every priority that a user may give.
inline constexpr std::uint32_t urgent_priority = 1'000;

inline Share own_share(const JobSpec& spec) {
  return {static_cast<double>(spec.share.weight), spec.share.priority};
}

// PACE: how many of a job's parts begin their calls per second, over some ten seconds.
class Pace {
public:
  explicit Pace(Time since = {}) : since_{since}, measured_at_{since} {}
  void began(std::size_t parts = 1) { parts_ += parts; }
  double rate() const { return rate_; }
  void measure(Time now) {
    constexpr double smoothing_s = 10;
    const double seconds = to_seconds(now - measured_at_), age = to_seconds(now - since_);
    if (seconds < 0.25) return;
    const double current = static_cast<double>(parts_ - measured_) / seconds;
    if (age >= smoothing_s)
      rate_ += (1 - std::exp(-seconds / smoothing_s)) * (current - rate_);
    else // of a young job the mean of its life, once it has lived a second
      rate_ = age < 1 ? 0 : static_cast<double>(parts_) / age;
    measured_ = parts_;
    measured_at_ = now;
  }

private:
  Time since_, measured_at_;
  std::uint64_t parts_ = 0, measured_ = 0;
  double rate_ = 0;
};

struct DeadlineFacts {
  Share own;
  double seconds_left = 0;
  double items_left = 0;
  double rate = 0;            // parts per second of the job, of late
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
