// ADVERTISED LIMIT: what a server's headers say of one of its limits, of calls or of tokens. Names
// of headers do not tell the window, so it is measured: a bucket that fills steadily has a reset
// that falls by one unit's time with each unit that remains, whatever its size. Only a limit that
// fits a second, minute, hour or day so is believed. Where nothing fits, and nothing remains, calls
// wait until the reset. Invariant: a header alone raises no rate; it only says where one ends.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/node/messages.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace gristmill::rate_limiter {

class AdvertisedLimit {
public:
  // `sent_at`: of the call whose answer said so; the server looked at its limit no earlier.
  void heard(const protocol::LimitHint& hint, Time sent_at, Time now);
  // Units per second; 0 = nothing is known.
  double rate() const { return rate_; }
  // No call before.
  Time held_until() const { return held_until_; }

private:
  static constexpr std::size_t samples_most = 32, samples_least = 8;
  struct Sample {
    double remaining = 0, reset_s = 0;
  };
  double fitted() const;

  std::array<Sample, samples_most> samples_{};
  std::size_t count_ = 0;
  std::int64_t limit_ = -1;
  bool remained_ = false; // it has said another number than 0 before
  double rate_ = 0;
  Time held_until_{Time::min()};
};

} // namespace gristmill::rate_limiter
