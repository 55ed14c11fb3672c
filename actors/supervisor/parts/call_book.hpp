// CALL BOOK: the calls that are offered or with workers, the parts that each carries, and which of
// them are second calls of the same parts (hedging). Invariant: a call has at most one other call
// of its parts, and each names the other.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gristmill::supervisor {

struct Call {
  std::vector<PartId> parts;
  CallId other;        // another call of these parts
  bool hedged = false; // it has, or had, a second call
  bool is_second = false;
  Time begun_at = never; // when it got its permit, where that is told
  EndpointId endpoint;   // likewise
};

class CallBook {
public:
  const Call* find(CallId call) const {
    const auto it = calls_.find(call);
    return it == calls_.end() ? nullptr : &it->second;
  }
  const std::unordered_map<CallId, Call>& calls() const { return calls_; }
  // Of calls that are not second ones.
  std::size_t not_begun() const { return not_begun_; }

  void open(CallId call, std::vector<PartId> parts, Time begun_at = never) {
    not_begun_ += begun_at == never;
    calls_.insert_or_assign(call, Call{std::move(parts), {}, false, false, begun_at, {}});
  }
  // Parts that are found to be in it.
  void take(CallId call, const std::vector<PartId>& parts, Time begun_at = never) {
    if (parts.empty()) return;
    const auto it = calls_.find(call);
    if (it == calls_.end()) return open(call, parts, begun_at);
    it->second.parts.insert(it->second.parts.end(), parts.begin(), parts.end());
  }
  void open_second(CallId first, CallId second) {
    Call& known = calls_.at(first);
    known.hedged = true;
    known.other = second;
    calls_.insert_or_assign(second, Call{known.parts, first, true, true, never, {}});
  }
  // It gets no second call any more.
  void set_hedged(CallId call) { calls_.at(call).hedged = true; }
  void begun(CallId call, EndpointId endpoint, Time now) {
    Call& known = calls_.at(call);
    if (known.begun_at == never && !known.is_second) --not_begun_;
    known.begun_at = now;
    known.endpoint = endpoint;
  }
  // The part ended or waits again; with its last part the call is closed.
  void release(CallId call, const PartId& part) {
    const auto it = calls_.find(call);
    if (it == calls_.end()) return;
    std::erase(it->second.parts, part);
    if (it->second.parts.empty()) close(call);
  }
  // The other call of its parts, if there is one, is their only one from now on.
  CallId close(CallId call) {
    const auto it = calls_.find(call);
    if (it == calls_.end()) return {};
    const Call closed = std::move(it->second);
    calls_.erase(it);
    if (closed.begun_at == never && !closed.is_second) --not_begun_;
    const auto left = calls_.find(closed.other);
    if (left == calls_.end()) return {};
    left->second.other = {};
    if (std::exchange(left->second.is_second, false)) { // its parts have been out since the first
      left->second.begun_at = std::min(left->second.begun_at, closed.begun_at);
      not_begun_ += left->second.begun_at == never;
    }
    return closed.other;
  }

private:
  std::unordered_map<CallId, Call> calls_;
  std::size_t not_begun_ = 0;
};

} // namespace gristmill::supervisor
