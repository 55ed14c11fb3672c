// RETRY POLICY: whether a part is tried again after an attempt, and when. Exponential backoff with
// equal jitter: half of the delay is fixed, half random, so that neither a thundering herd nor a
// hot loop can form (full jitter can shrink the delay to almost nothing). Retry-After is obeyed,
// never shortened. After an endpoint's fault the delay does not grow: RATE LIMITER holds the
// endpoint, and the part goes as soon as it is well.
#pragma once

#include "actors/kit/random.hpp"
#include "actors/kit/time.hpp"
#include "protocol/job/outcome_class.hpp"

#include <cstdint>

namespace gristmill::supervisor {

struct Decision {
  enum class What : std::uint8_t { done, again, failed } what = What::done;
  Time not_before{}; // of `again`
};

struct RetryPolicy {
  std::uint32_t retries = 5; // attempts after the first, for the classes that consume one
  Duration first_delay = std::chrono::milliseconds{500};
  Duration delay_max = std::chrono::seconds{30};
  // After an endpoint's fault, and the most of what the endpoint itself asks for.
  Duration outage_delay = std::chrono::seconds{1}, told_most = std::chrono::seconds{60};

  // What a part has consumed after such an end, which counts against --retries.
  std::uint32_t consumed_after(OutcomeClass cls, std::uint32_t before) const;
  // `consumed`: attempts that count, this one included.
  Decision decide(OutcomeClass cls, std::uint32_t consumed, std::int64_t retry_after_ms, Time now,
                  Random& random) const;
};

} // namespace gristmill::supervisor
