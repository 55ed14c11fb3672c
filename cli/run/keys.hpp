// Whether this command has the keys that the job's endpoints need: workers of a `run` live in its
// own process, so that a missing one is known before anything starts.
#pragma once

#include "protocol/job/pools.hpp"

#include <vector>

namespace gristmill::cli {

// Of the job's own endpoints, else of the pools that it may use. An error (usage) names the first
// endpoint without its key, and never a key.
Result<> check_key(const EndpointSpec& endpoint);
Result<> check_keys(const JobSpec& spec, const std::vector<PoolSpec>& pools);

} // namespace gristmill::cli
