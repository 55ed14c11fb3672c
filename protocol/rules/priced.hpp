// PRICED: whether a job with a budget of money has calls whose cost has a bound.
#pragma once

#include "protocol/job/pools.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill {

// Why the job's calls would have no known price, as a sentence; empty = all have one, as far as
// that can be known before the items are read. What a line says to whoever gives a job a budget of
// money and no limit on its answers.
inline constexpr std::string_view how_to_limit_answers =
    "give --max-tokens N, max_tokens in the request's body, or max_output_tokens in the [[pool]] "
    "of its model";
std::string why_unpriced(const JobSpec& spec, const std::vector<PoolSpec>& pools);

} // namespace gristmill
