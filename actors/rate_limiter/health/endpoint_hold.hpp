// ENDPOINT HOLD: keeps calls from an endpoint that is away, not ready or failing, so that items
// wait instead of trying it in vain, and finds out within a second when it is well again.
//
//   well   calls go, until it is held: by a call's end that says so (`away`, `full`), if no other
//          was answered since that call began: at once where none ever was, else by three of them
//          in a row; or by eight failures in a row of whatever kind
//   held   probes only: one a second. One that outlives the failures shows a server at work: others
//          go beside it, twice as many with each such step, so that none stands idle for as long as
//          its answers take. A probe that fails begins anew with one. What a server says of when to
//          come again holds for that time, a minute at most
//
// An answer, whichever call's, makes it well. The time between probes never grows: an endpoint that
// was away for a night gets its calls as soon as one that was away for a moment.
// Source: M. Nygard, Release It!, "Circuit Breaker". Invariant: an endpoint that answers is well,
// and ends of calls that began before it was held say nothing new.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/job/outcome_class.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace gristmill::rate_limiter {

class EndpointHold {
public:
  static constexpr int failures_in_a_row = 8;
  static constexpr int faults_in_a_row = 3;
  static constexpr Duration probe_every = std::chrono::seconds{1};
  static constexpr Duration outlives_least = std::chrono::seconds{2};
  static constexpr Duration told_most = std::chrono::seconds{60};
  static constexpr std::uint32_t width_most = 1u << 16;

  // As a call begins; said again at its end.
  struct Begun {
    std::uint64_t answers = 0; // that had come by then
    std::uint64_t probe = 0;   // number of the hold that it probes; 0 = none
  };
  struct End {
    Begun begun;
    Duration took{};
    std::optional<Duration> told = {}; // by the server: when to come again
  };

  // Until when no call may begin; nothing: one may.
  std::optional<Time> refuses(Time now, Duration every = probe_every) const {
    if (!held_) return std::nullopt;
    Time next = told_until_;
    if (left_ == 0) next = std::max(next, round_at_ + (out_ == 0 ? every : outlives()));
    return now < next ? std::optional{next} : std::nullopt;
  }
  bool is_held() const { return held_; }
  Time since() const { return since_; } // of one that is held
  bool has_answered() const { return answers_ > 0; }
  int faults() const { return faults_; } // in a row

  Begun begun(Time now) {
    if (!held_) return {answers_, 0};
    if (left_ == 0) {
      width_ = out_ == 0 ? 1 : std::min(2 * width_, width_most);
      left_ = width_;
      round_at_ = now;
    }
    --left_;
    ++out_;
    return {answers_, number_};
  }
  void answered() {
    ++answers_;
    release();
  }
  // It is there, though it does not serve this call.
  void release() {
    faults_ = failures_ = 0;
    held_ = false;
  }
  void failed(const End& end, EndpointNews news, Time now) {
    if (held_) {
      if (end.begun.probe != number_) return;
      probe_is_over();
      left_ = 0;
      width_ = 1;
      took_ = std::max(took_, end.took);
      return heed(end, now);
    }
    if (news == EndpointNews::failed) {
      ++failures_;
    } else if (end.begun.answers == answers_) {
      ++faults_;
    }
    const bool faulty = faults_ >= (has_answered() ? faults_in_a_row : 1);
    if (faulty || failures_ >= failures_in_a_row) hold(end, now);
  }
  // Whatever it says of others: this one call was refused.
  void hold(const End& end, Time now) {
    if (held_) return failed(end, EndpointNews::away, now);
    held_ = true;
    ++number_;
    since_ = round_at_ = now;
    told_until_ = Time::min();
    out_ = left_ = 0;
    width_ = 1;
    took_ = Duration::zero();
    heed(end, now);
  }
  // Nobody knows what became of it; or it was never sent, and another may go in its place.
  void ended_otherwise(const Begun& begun, bool unstarted) {
    if (!held_ || begun.probe != number_) return;
    probe_is_over();
    if (unstarted && out_ + left_ < width_) ++left_;
  }

private:
  Duration outlives() const { return std::max<Duration>(outlives_least, took_ + took_ / 2); }
  void probe_is_over() {
    if (out_ > 0) --out_;
  }
  void heed(const End& end, Time now) {
    if (end.told) told_until_ = std::max(told_until_, now + std::min(*end.told, told_most));
  }

  std::uint64_t answers_ = 0;
  int faults_ = 0, failures_ = 0; // without an answer between
  bool held_ = false;
  std::uint64_t number_ = 0; // of this hold or the last one
  Time since_{}, round_at_{}, told_until_{Time::min()};
  std::uint32_t out_ = 0;              // probes on their way
  std::uint32_t left_ = 0, width_ = 1; // of this round: may still begin, all together
  Duration took_{};                    // most that a probe of this hold took to fail
};

} // namespace gristmill::rate_limiter
