// What one call may cost before it is made, and what it has cost when it has ended.
// Invariant: a call whose use of tokens nobody knows counts with the most that it may have cost.
#pragma once

#include "protocol/job/pools.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/node/messages.hpp"

#include <cstdint>

namespace gristmill {

// The most that a call may cost whose tokens are at most these.
Usd most_cost(const TokenPrice& price, std::uint64_t input_tokens, std::uint64_t output_tokens);

// Whether an outcome without a report of its usage may be one that has to be paid: the request may
// have reached the model, and no error status says that it was turned away.
bool may_have_cost(const protocol::Outcome& outcome);

struct CallCost {
  Usd amount{};
  bool known = true; // false: it may have cost something, and nobody knows how much at most
};
// `reserved`: what the call may cost at most; 0 = not known.
CallCost cost_of_call(const protocol::Outcome& outcome, const TokenPrice& price, Usd reserved);

} // namespace gristmill
