#include "actors/supervisor/verdict/retry_policy.hpp"

#include <algorithm>

namespace gristmill::supervisor {
namespace {

Duration backoff(const RetryPolicy& policy, std::uint32_t consumed, Random& random) {
  const std::uint32_t doublings = std::min(consumed > 0 ? consumed - 1 : 0, 20u);
  const Duration full =
      std::min(policy.first_delay * (std::int64_t{1} << doublings), policy.delay_max);
  return full / 2 + random.between(Duration::zero(), full / 2);
}

} // namespace

std::uint32_t RetryPolicy::consumed_after(OutcomeClass cls, std::uint32_t before) const {
  const bool one_more = info(cls).toll == Toll::one_more;
  return one_more ? std::max(before + 1, retries) : before + 1;
}

Decision RetryPolicy::decide(OutcomeClass cls, std::uint32_t consumed, std::int64_t retry_after_ms,
                             Time now, Random& random) const {
  if (cls == OutcomeClass::ok) return {Decision::What::done, {}};
  const OutcomeClassInfo& about = info(cls);
  if (!about.retryable()) return {Decision::What::failed, {}};
  if (cls == OutcomeClass::unstarted) return {Decision::What::again, now};
  if (about.consumes_attempt() && consumed > retries) return {Decision::What::failed, {}};
  const Duration told = std::chrono::milliseconds{std::max<std::int64_t>(retry_after_ms, 0)};
  if (about.is_endpoints())
    return {Decision::What::again, now + std::clamp(told, outage_delay, told_most)};
  return {Decision::What::again,
          now + std::max(told, backoff(*this, std::max(consumed, 1u), random))};
}

} // namespace gristmill::supervisor
