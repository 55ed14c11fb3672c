// HEDGING decides when an item's call has taken so long that a second one is worth its price: a few
// slow servers, or one that hangs, else hold up the end of a whole job (J. Dean and L. A. Barroso,
// "The Tail at Scale", 2013). Invariant: second calls are at most `percent` of the job's items.
#pragma once

#include "actors/kit/latency_histogram.hpp"
#include "actors/kit/time.hpp"

#include <optional>

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
  // How long a call may take before it gets a twin: far beyond what is usual. None while too little
  // is known of what is usual.
  std::optional<Duration> patience() const {
    if (!latencies_ || answers_ < answers_least) return std::nullopt;
    const std::chrono::milliseconds usual{latencies_->percentile(95)};
    return std::max(2 * usual, usual + a_little);
  }

  static constexpr std::uint64_t answers_least = 20;
  static constexpr std::chrono::milliseconds a_little{100};

private:
  std::uint32_t percent_;
  std::uint64_t used_, answers_ = 0;
  std::optional<LatencyHistogram> latencies_; // in ms
};

} // namespace gristmill::supervisor
