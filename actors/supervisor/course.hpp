// COURSE: whether a job goes on: it may be paused, being cancelled, or have failed. Invariant: a
// job that has failed stays so, and the first reason to stop holds until somebody resumes the job.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/job/state.hpp"

#include <chrono>
#include <optional>
#include <utility>

namespace gristmill::supervisor {

class Course {
public:
  static constexpr Duration cancel_grace = std::chrono::seconds{10};

  bool has_failed() const { return failed_; }
  bool is_cancelling() const { return cancelling_; }
  bool is_probing() const { return probing_; } // since it was resumed so, nothing was answered
  // New calls may begin, and those that are not to be made are ended.
  bool goes_on() const { return !failed_ && (!paused_ || cancelling_); }
  // New calls may begin for the sake of their answers.
  bool makes_calls() const { return !failed_ && !paused_ && !cancelling_; }

  void pause() { paused_ = true; }
  // `probing`: only to see whether what paused it is over.
  void resume(bool probing) {
    paused_ = false;
    probing_ = probing;
  }
  void answered() { probing_ = false; }
  // False: it was being cancelled already.
  bool cancel(Time now) {
    if (std::exchange(cancelling_, true)) return false;
    cancel_ends_ = now + cancel_grace;
    return true;
  }
  // When what is still out at a cancelled job ends, too.
  Time cancel_ends() const { return cancel_ends_; }
  bool ends_all(Time now) { // true once, when it is so late
    if (now < cancel_ends_) return false;
    cancel_ends_ = never;
    return true;
  }

  // It should not go on, or cannot. `nothing_left`: there is nothing left to be saved by a pause.
  void stop(std::optional<StateChange> stop, bool nothing_left) {
    if (!stop || !makes_calls()) return;
    const bool pauses = stop->state == JobState::paused;
    if (pauses && nothing_left) return;
    (pauses ? paused_ : failed_) = true;
    stop_ = std::move(stop);
  }
  // Also of a job that is paused or being cancelled: it could never come to its end.
  void fail(std::optional<StateChange> failure) {
    if (!failure || std::exchange(failed_, true)) return;
    stop_ = std::move(failure);
  }
  // What is to be told of it; once.
  std::optional<StateChange> take_stop() { return std::exchange(stop_, std::nullopt); }

private:
  bool paused_ = false, cancelling_ = false, failed_ = false, probing_ = false;
  Time cancel_ends_ = never;
  std::optional<StateChange> stop_;
};

} // namespace gristmill::supervisor
