// NO ENDPOINT: the sentences about a call that no endpoint takes, however long it waits. Invariant:
// each names what the call asks for, and what there is instead.
#pragma once

#include "actors/rate_limiter/call_tokens.hpp"
#include "protocol/job/rate_limits.hpp"

#include <map>
#include <string>
#include <vector>

namespace gristmill::rate_limiter {

// Of a call that exceeds a whole window of each endpoint, which have these limits: names one that
// it exceeds everywhere, as large as it is at the largest of them.
std::string why_never(const std::vector<RateLimits>& endpoints, const TokenBound& bound);

// Of a call of `model`, empty = of none; `served`: how many endpoints serve each model.
std::string why_none_serves(const std::string& model,
                            const std::map<std::string, std::size_t>& served);

} // namespace gristmill::rate_limiter
