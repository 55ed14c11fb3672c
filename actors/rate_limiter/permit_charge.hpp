// PERMIT CHARGE: what one permit takes of its endpoint's account and of its job's.
// Invariant: it is drawn from both or from none, and settled or given back at both.
#pragma once

#include "actors/rate_limiter/call_tokens.hpp"

#include <memory>
#include <optional>

namespace gristmill::rate_limiter {

struct PermitCharge {
  std::shared_ptr<Account> endpoint{}, job{}; // no job = it is not known any more
  CallCharge of_endpoint{};
  Charge of_job{};

  // After neither of them has refused the call.
  static PermitCharge draw(std::shared_ptr<Account> endpoint, std::shared_ptr<Account> job,
                           const CallTokens& tokens, const Tokens& job_tokens, Time now);
  // Of a permit that another life of ours gave.
  static PermitCharge occupy(std::shared_ptr<Account> endpoint, std::shared_ptr<Account> job);

  void refund(Time now) const; // the call was never sent
  // `used`: what its answer reports, if it does. `is_free`: the server turned it away.
  void settle(const std::optional<protocol::Usage>& used, const TokenBound& bound, bool is_free,
              Time now) const;
};

} // namespace gristmill::rate_limiter
