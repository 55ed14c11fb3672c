// VOICES: which sessions have something to say, at once or after a while, so that nobody walks all
// of them to find out. Invariant: a session that was named is listed once more at least.
#pragma once

#include "actors/kit/defaults.hpp"
#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <deque>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

class Voices {
public:
  void speaks(SessionId session) { speaking_.push_back(session); }
  // Times are told in their order. One soon after the last becomes the last, so that one alarm
  // serves many. Returns what it became.
  Time waits(SessionId session, Time until) {
    if (!waiting_.empty() && until - waiting_.back().first < soon) until = waiting_.back().first;
    waiting_.emplace_back(until, session);
    return until;
  }

  std::vector<SessionId> take_speaking() { return std::exchange(speaking_, {}); }
  std::vector<SessionId> take_waiting(Time now) {
    std::vector<SessionId> due;
    for (; !waiting_.empty() && waiting_.front().first <= now; waiting_.pop_front())
      due.push_back(waiting_.front().second);
    return due;
  }
  Time next() const { return waiting_.empty() ? never : waiting_.front().first; }
  std::size_t size() const { return speaking_.size() + waiting_.size(); }

private:
  static constexpr Duration soon = defaults::aside_most / 5;
  std::vector<SessionId> speaking_;
  std::deque<std::pair<Time, SessionId>> waiting_;
};

} // namespace gristmill::coordinator
