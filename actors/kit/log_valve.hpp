// LOG VALVE: keeps a flood of one kind of event from filling the disk that holds the log. A foreign
// peer can cause some events as often as it likes; after a burst, only so many a second of a name
// are written, and the next one that is written says how many were not.
// Invariant: every event is either written or counted in a later line of its name.
#pragma once

#include "actors/kit/time.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

namespace gristmill {

class LogValve {
public:
  static constexpr double burst = 1'000, per_second = 10;

  // Whether the event is to be written, and how many of its name were left out since the last one.
  // Names are static text, so there are only so many.
  std::optional<std::uint64_t> admit(std::string_view name, Time now);

private:
  struct Flow {
    double left = burst;
    Time at{};
    std::uint64_t left_out = 0;
  };
  std::map<std::string_view, Flow> flows_;
};

} // namespace gristmill
