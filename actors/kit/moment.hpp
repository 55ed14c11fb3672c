// MOMENT: the two clocks, read once when a message is handled. Plain data.
#pragma once

#include "actors/kit/time.hpp"

#include <cstdint>

namespace gristmill {

struct Moment {
  Time now{};
  std::int64_t unix_seconds = 0; // for what people read, and what outlives a boot
};

} // namespace gristmill
