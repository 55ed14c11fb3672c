// HOLD: how long a call counts in a window: from when it may begin until the server, whose clock
// runs at another speed, has certainly seen the window's length pass. Invariant: never shorter than
// that.
#pragma once

#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"

namespace gristmill::rate_limiter {

// Of a call whose permit lives so long.
inline Duration hold_of(Duration window, Duration life = defaults::permit_life) {
  if (mutated("no_drift_margin")) return life + window + defaults::delay_margin;
  return defaults::hold_of(window, life);
}

} // namespace gristmill::rate_limiter
