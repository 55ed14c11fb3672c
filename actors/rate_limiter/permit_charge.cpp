#include "actors/rate_limiter/permit_charge.hpp"

#include <utility>

namespace gristmill::rate_limiter {

PermitCharge PermitCharge::draw(std::shared_ptr<Account> endpoint, std::shared_ptr<Account> job,
                                const CallTokens& tokens, const Tokens& job_tokens, Time now) {
  const Duration life = endpoint->permit_life().length();
  PermitCharge charge{std::move(endpoint), std::move(job)};
  charge.of_job = charge.job->draw(job_tokens, now, life);
  charge.of_endpoint = rate_limiter::draw(*charge.endpoint, tokens, now, life);
  return charge;
}

PermitCharge PermitCharge::occupy(std::shared_ptr<Account> endpoint, std::shared_ptr<Account> job) {
  endpoint->occupy();
  if (job) job->occupy();
  return {std::move(endpoint), std::move(job)};
}

void PermitCharge::refund(Time now) const {
  rate_limiter::refund(*endpoint, of_endpoint, now);
  if (job) job->refund(of_job, now);
}

void PermitCharge::settle(const std::optional<protocol::Usage>& used, const TokenBound& bound,
                          bool is_free, Time now) const {
  const auto taken = [&](const RateLimits& limits) {
    return is_free ? UsedTokens{0, 0, 0} : used_tokens(limits, used, bound);
  };
  rate_limiter::settle(*endpoint, of_endpoint, taken(endpoint->limits()), now);
  if (job) job->settle(of_job, taken({}).all, now); // a job's own tokens are those that were used
}

} // namespace gristmill::rate_limiter
