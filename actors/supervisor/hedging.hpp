// HEDGING: when a call has taken so long that a second call of the same parts is worth its price.
// Without it a few slow servers, or one that hangs, hold up the end of a whole job (J. Dean and L.
// A. Barroso, "The Tail at Scale", 2013). The first answer wins. Invariant: second calls are at
// most `percent` of the job's items.
#pragma once

#include "actors/kit/latency_histogram.hpp"
#include "actors/kit/time.hpp"
#include "actors/supervisor/parts/call_book.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace gristmill::supervisor {

class Hedging {
public:
  // `used`: calls beyond one for each item that earlier lives of the job made, at most.
  Hedging(std::uint32_t percent, std::uint64_t used) : percent_{percent}, used_{used} {
    if (percent_ > 0) latencies_.emplace();
  }

  bool is_on() const { return percent_ > 0; }
  bool may_begin(std::uint64_t items) const { return used_ < items * percent_ / 100; }
  void begun() { ++used_; }

  void answered(Duration latency) {
    if (latencies_) latencies_->add(static_cast<std::uint64_t>(to_ms(latency)));
    ++answers_;
  }
  // How long a call may take before it gets a second one: far beyond what is usual. None while too
  // little is known of what is usual.
  std::optional<Duration> patience() const {
    if (!latencies_ || answers_ < answers_least) return std::nullopt;
    const std::chrono::milliseconds usual{latencies_->percentile(95)};
    return std::max(2 * usual, usual + a_little);
  }

  // Something may have changed what slow_calls() finds; not for each of many answers.
  void look_soon(Time now) {
    if (is_on()) look_at_ = std::min(look_at_, now + look_every);
  }
  Time look_at() const { return look_at_; } // when to ask for slow calls
  void looked() { look_at_ = never; }       // … and there may be none
  // The calls that have taken too long and have no second one, the slowest first. None while one
  // has not begun: a first call needs the place more than a second one does.
  std::vector<CallId> slow_calls(const CallBook& book, Time now) {
    look_at_ = never;
    const auto patience = this->patience();
    if (book.not_begun() > 0 || !patience) return {};
    std::vector<std::pair<Time, CallId>> single;
    for (const auto& [id, call] : book.calls())
      if (!call.hedged) single.emplace_back(call.begun_at, id);
    std::sort(single.begin(), single.end());
    std::vector<CallId> slow;
    for (const auto& [begun_at, id] : single) {
      if (now < begun_at + *patience) {
        look_at_ = begun_at + *patience;
        break;
      }
      slow.push_back(id);
    }
    return slow;
  }

  static constexpr std::chrono::milliseconds look_every{50};
  static constexpr std::uint64_t answers_least = 20;
  static constexpr std::chrono::milliseconds a_little{100};

private:
  std::uint32_t percent_;
  std::uint64_t used_, answers_ = 0;
  std::optional<LatencyHistogram> latencies_; // in ms
  Time look_at_ = never;
};

} // namespace gristmill::supervisor
