// BREAKER: keeps calls from an endpoint that fails, so that items wait instead of using up their
// retries, and other endpoints get them meanwhile.
//
//   closed     calls go; `failures_in_a_row` failures without an answer between them open it
//   open       none go, for a second; after each failed probe twice as long, at most 30 s; always a
//              second where the call that probes has somewhere else to go when it fails
//   half open  one call goes as a probe: an answer closes the breaker, a failure opens it again
//
// An answer that comes while it is open, of a call that began before, closes it too.
// Source: M. Nygard, Release It!, "Circuit Breaker". Invariant: an endpoint that answers is closed.
#pragma once

#include "actors/kit/time.hpp"

#include <algorithm>
#include <optional>

namespace gristmill::rate_limiter {

class Breaker {
public:
  static constexpr int failures_in_a_row = 8;
  static constexpr Duration open_least = std::chrono::seconds{1};
  static constexpr Duration open_most = std::chrono::seconds{30};
  static constexpr Duration probe_look = std::chrono::milliseconds{100};

  // Until when no call may begin; nothing: one may.
  std::optional<Time> refuses(Time now, bool others_answer = false) const {
    if (!is_open()) return std::nullopt;
    const Time until = others_answer ? std::min(open_until_, opened_at_ + open_least) : open_until_;
    if (now < until) return until;
    if (probing_) return now + probe_look;
    return std::nullopt;
  }
  bool is_open() const { return failures_ >= failures_in_a_row; }
  // It has answered, in this life of ours.
  bool proved() const { return proved_; }

  void begun() { probing_ = is_open(); }
  void answered() {
    failures_ = 0;
    probing_ = false;
    proved_ = true;
    open_for_ = open_least;
  }
  void failed(Time now) {
    const bool was_open = is_open();
    // What began before it was opened fails in a crowd; that says nothing new.
    if (was_open && !probing_) return;
    probing_ = false;
    if (!was_open && ++failures_ < failures_in_a_row) return;
    opened_at_ = now;
    open_until_ = now + open_for_;
    open_for_ = std::min(2 * open_for_, open_most);
  }
  // The call was never sent, or nobody knows what became of it.
  void ended_otherwise() { probing_ = false; }

private:
  int failures_ = 0;
  bool probing_ = false, proved_ = false;
  Duration open_for_ = open_least;
  Time opened_at_{Time::min()}, open_until_{Time::min()};
};

} // namespace gristmill::rate_limiter
