// PACK LIMIT: how many inputs an endpoint takes in a call. Nobody says so, and it is found out: one
// call at a time is larger than those that were taken before, eight at first, then always twice as
// many. A larger call that is refused, or that fails, is not tried again for a while. It may have
// been for one of its inputs: then calls of a size that is taken are refused, too, and the larger
// size is tried again sooner; each time after twice as many of them. Where even two inputs were
// refused, two calls of one are tried before that is believed. Calls that take long do not
// become longer. Invariant: what is not proved is tried by one call.
#pragma once

#include "actors/kit/mutant.hpp"
#include "actors/kit/time.hpp"
#include "actors/words/pack_size.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace gristmill::rate_limiter {

class PackLimit {
public:
  enum class End : std::uint8_t {
    untold,  // it says nothing of the size
    taken,   // all of its inputs were answered
    refused, // for its size, or for one of its inputs
    failed,  // perhaps for its size
  };
  static constexpr Duration refused_for = std::chrono::hours{1},
                            failed_for = std::chrono::minutes{1}, slow = std::chrono::seconds{10};

  // In an earlier life, or before the account was forgotten; 0 = nothing was.
  void was_found(std::uint32_t inputs) {
    if (known_ || inputs == 0) return;
    known_ = true;
    proved_ = std::min(inputs, limits::pack_inputs_max);
  }
  std::uint32_t proved() const { return proved_; }
  bool is_known() const { return known_; } // a call of several inputs has ended
  // What one call may have, to find out more; 0 = nothing for now.
  std::uint32_t next(Time now) const {
    const bool open = now >= closed_until_;
    const std::uint32_t below = open ? limits::pack_inputs_max + 1 : refused_;
    if (is_slow_) return 0;
    std::uint32_t next = std::bit_floor(proved_) * 2;
    if (proved_ < pack_first) next = below > pack_first ? pack_first : below / 2;
    if (next == 1 && singles_ < singles_needed) return 1;
    return next > proved_ && next < below ? next : 0;
  }
  // Whether a call of so many inputs may go now. `others`: the size of the other endpoints' calls,
  // which one of which nothing is known may try as well.
  bool takes(std::uint32_t inputs, std::uint32_t others, Time now) const {
    if (inputs <= proved_) return true;
    return (!is_tried_ || mutated("trials_together")) && may_try(inputs, others, now);
  }
  // … or as soon as another call has ended.
  bool may_try(std::uint32_t inputs, std::uint32_t others, Time now) const {
    return inputs <= proved_ || inputs <= std::max(next(now), known_ ? 0 : others);
  }
  // True: it is a trial, and ended() is told so.
  bool begun(std::uint32_t inputs) {
    const bool trial = inputs > proved_;
    is_tried_ |= trial;
    return trial;
  }
  void ended(std::uint32_t inputs, bool trial, End end, Duration latency, Time now) {
    if (trial) is_tried_ = false;
    if (inputs == 1 && end == End::taken) ++singles_;
    if (inputs == 1 && end != End::refused) return;
    known_ |= inputs > 1 && end != End::untold;
    if (end == End::taken) {
      in_a_row_ = 0;
      if (2 * inputs > proved_) is_slow_ = latency > slow;
      proved_ = std::max(proved_, inputs);
    } else if (inputs <= proved_) {
      fails_though_proved(inputs, end);
    } else if (end != End::untold) {
      refused_ = now < closed_until_ ? std::min(refused_, inputs) : inputs;
      singles_ = 0;
      closed_until_ = now + (end == End::refused ? refused_for : failed_for);
    }
  }

private:
  static constexpr std::uint32_t in_a_row_most = 3, singles_needed = 2;

  void fails_though_proved(std::uint32_t inputs, End end) {
    if (end == End::untold) return;
    if (end == End::refused && ++pardons_ >= pardons_needed_ && closed_until_ != Time::min()) {
      closed_until_ = Time::min();
      pardons_ = 0;
      pardons_needed_ *= 2;
    }
    // Another server stands there now, or nearly each call has an input that is refused.
    if (inputs < 2 || 2 * inputs <= proved_ || ++in_a_row_ < in_a_row_most) return;
    in_a_row_ = 0;
    proved_ = std::max(proved_ / 2, 1u);
  }

  std::uint32_t proved_ = 1, refused_ = 0;
  Time closed_until_{Time::min()}; // to the size that was refused, and larger ones
  std::uint32_t pardons_ = 0, pardons_needed_ = 1, in_a_row_ = 0, singles_ = 0;
  bool known_ = false, is_tried_ = false, is_slow_ = false;
};

} // namespace gristmill::rate_limiter
