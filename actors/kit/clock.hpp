// The one place that reads clocks. Shells and windows call it; rooms never do.
#pragma once

#include "actors/kit/time.hpp"

#include <string>

namespace gristmill {

Time boot_now();             // CLOCK_BOOTTIME
std::int64_t wall_seconds(); // unix seconds, for people and for OpenAI's created_at fields
std::string boot_id();       // changes with every boot; BootClock values mean nothing across it
std::uint64_t random_seed(); // from the kernel

} // namespace gristmill
