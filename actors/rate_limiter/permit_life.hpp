// PERMIT LIFE: how long the permits of an account live. A permit lives briefly, because its call
// counts from when it might have begun last; where calls cannot be sent in time, permits that came
// back unused make the next ones live longer, and used ones shorter again.
// Invariant: between defaults::permit_life and permit_life_max.
#pragma once

#include "actors/kit/defaults.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {

class PermitLife {
public:
  Duration length() const { return length_; }

  void used() {
    unused_in_a_row_ = 0;
    if (++used_in_a_row_ < defaults::used_permits_min) return;
    used_in_a_row_ = 0;
    length_ = std::max(length_ / 2, defaults::permit_life);
  }
  void came_too_late(Time now) {
    used_in_a_row_ = 0;
    // At most once within a life: permits that were issued together come back together.
    if (++unused_in_a_row_ < defaults::unused_permits_max || now < changed_at_ + length_) return;
    unused_in_a_row_ = 0;
    changed_at_ = now;
    length_ = std::min(2 * length_, defaults::permit_life_max);
  }

private:
  Duration length_{defaults::permit_life};
  int unused_in_a_row_ = 0, used_in_a_row_ = 0;
  Time changed_at_{Time::min()};
};

} // namespace gristmill::rate_limiter
