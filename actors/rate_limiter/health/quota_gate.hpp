// QUOTA GATE: keeps calls from an endpoint whose account is used up. It is asked again with one
// call after a growing interval; whoever resumes a job has it asked at once.
// Invariant: between a refusal and the next answer at most one call at a time is under way that
// began after the refusal.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/job/outcome_class.hpp"

#include <algorithm>
#include <optional>

namespace gristmill::rate_limiter {

class QuotaGate {
public:
  static constexpr Duration closed_least = std::chrono::seconds{5};
  static constexpr Duration closed_most = std::chrono::minutes{10};
  static constexpr Duration probe_look = std::chrono::milliseconds{100};

  // Until when no call may begin; nothing: one may.
  std::optional<Time> refuses(Time now) const {
    if (!closed_) return std::nullopt;
    if (now < until_) return until_;
    if (probing_) return now + probe_look;
    return std::nullopt;
  }
  bool is_closed() const { return closed_; }

  void begun() { probing_ = closed_; }
  // `began`: when the call that ended did; what began before the gate closed says nothing new.
  void ended(OutcomeClass cls, Time began, Time now) {
    if (cls == OutcomeClass::quota) {
      if (closed_ && began < closed_at_) return;
      closed_for_ = closed_ ? std::min(2 * closed_for_, closed_most) : closed_least;
      closed_ = true;
      closed_at_ = now;
      until_ = now + closed_for_;
      probing_ = false;
    } else if (cls == OutcomeClass::ok) {
      closed_ = probing_ = false;
    } else if (began >= closed_at_) {
      probing_ = false;
    }
  }
  void ask_at_once() { until_ = Time::min(); }

private:
  bool closed_ = false, probing_ = false;
  Duration closed_for_{};
  Time closed_at_{Time::min()}, until_{Time::min()};
};

} // namespace gristmill::rate_limiter
