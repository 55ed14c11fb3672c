// LOCAL CLOCK: what one machine's BootClock shows at a moment of true time. It runs a little too
// fast or too slow, and begins anew when its machine does. Invariant: it never goes backwards.
#pragma once

#include "actors/kit/time.hpp"

namespace gristmill::sim {

class LocalClock {
public:
  LocalClock() = default;
  // `ppb`: gains so many nanoseconds in a second; at most a million either way.
  LocalClock(Time truth, Time shows, std::int64_t ppb) : truth_{truth}, shows_{shows}, ppb_{ppb} {}

  Time at(Time truth) const {
    const Duration passed = truth - truth_;
    return shows_ + passed + Duration{passed.count() * ppb_ / billion};
  }
  // The first moment at which it shows `local`; what lies before its beginning is its beginning.
  Time truth_of(Time local) const {
    if (local == never || local <= shows_) return local == never ? never : truth_;
    const Duration passed = local - shows_;
    Time truth = truth_ + passed - Duration{passed.count() / (billion + ppb_) * ppb_};
    while (at(truth) > local) truth -= at(truth) - local;
    while (at(truth) < local) truth += std::max(local - at(truth), Duration{1});
    return truth;
  }

private:
  static constexpr std::int64_t billion = 1'000'000'000;
  Time truth_{}, shows_{};
  std::int64_t ppb_ = 0;
};

} // namespace gristmill::sim
