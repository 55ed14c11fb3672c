// What follows from the end of an attempt. Exponential backoff with equal jitter: half of the delay
// is fixed, half random, so that neither a herd nor a hot loop can form (full jitter can collapse
// to almost nothing). Retry-After is obeyed, never shortened. After an endpoint's fault the delay
// does not grow: RATE LIMITER holds the endpoint, and the item goes as soon as it is well.
#pragma once

#include "actors/kit/random.hpp"
#include "actors/kit/time.hpp"
#include "protocol/job/outcome_class.hpp"

#include <cstdint>

namespace gristmill::supervisor {

struct RetryPolicy {
  std::uint32_t retries = 5; // attempts after the first, for the classes that consume one
  Duration first_delay = std::chrono::milliseconds{500};
  Duration delay_max = std::chrono::seconds{30};
  // After an endpoint's fault, and the most of what the endpoint itself asks for.
  Duration outage_delay = std::chrono::seconds{1}, told_most = std::chrono::seconds{60};
};

struct Decision {
  enum class What : std::uint8_t { done, again, failed } what = What::done;
  Time not_before{}; // of `again`
};

// What an item has consumed after such an end, which counts against --retries.
std::uint32_t consumed_after(const RetryPolicy& policy, OutcomeClass cls, std::uint32_t before);

// `consumed`: attempts that count, this one included.
Decision decide(const RetryPolicy& policy, OutcomeClass cls, std::uint32_t consumed,
                std::int64_t retry_after_ms, Time now, Random& random);

} // namespace gristmill::supervisor
