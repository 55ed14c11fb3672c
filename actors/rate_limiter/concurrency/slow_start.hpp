// SLOW START: how the limit of an unknown server grows. It begins small, because a small server
// that queues in silence keeps all that it is given waiting, and no call can be taken back. Then
// each answer that took no longer than the first ones raises it by several, so that it is
// multiplied within the time of one answer, whatever that time is.
//
// What an answer proves is that so many calls as were in flight when its call began were taken up.
// Invariant: the limit is at most `times` what was proven, so one that is not used does not grow.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gristmill::rate_limiter {

class SlowStart {
public:
  static constexpr std::uint32_t first = 32; // calls in flight, nothing known
  // Somebody who says how many it may have knows the server, or only means to be generous.
  static constexpr std::uint32_t first_below(std::uint32_t said) {
    return std::min(said, 2 * first);
  }
  static constexpr std::uint32_t times = 6;       // within the time of an answer
  static constexpr std::uint32_t heard_least = 8; // answers, before that nothing is concluded

  // Something is known already: so many were taken up.
  void resumed(std::uint32_t proven) {
    proven_ = proven;
    heard_ = heard_least;
  }
  // An answer of a call that was one of so many in flight as it began: the limit from then on.
  std::uint32_t answered(std::uint32_t limit, std::uint32_t in_flight) {
    proven_ = std::max(proven_, in_flight);
    if (heard_ < heard_least) {
      ++heard_;
      return limit;
    }
    return std::max(limit, std::min(limit + times - 1, times * proven_));
  }
  bool has_heard() const { return heard_ >= heard_least; }
  std::uint32_t proven() const { return proven_; }

private:
  std::uint32_t heard_ = 0, proven_ = 0;
};

} // namespace gristmill::rate_limiter
