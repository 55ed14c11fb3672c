// Pools as the HTTP API shows them.
//
//   pool     {model, fallback, price_input, price_output, endpoints[…]}
//            prices in US$ for 1M tokens
//   endpoint {url, worker, requests_per_minute, tokens_per_minute, requests_per_day,
//            tokens_per_day, max_in_flight, concurrency_limit, in_flight, queue_waiting,
//            queue_running, parked_s, why, last_error}
//
// What there is not, is null: a limit, a price, a worker (every worker reaches the endpoint), the
// server's own word of its queue.
#pragma once

#include "actors/coordinator/coordinator.hpp"

#include <nlohmann/json_fwd.hpp>

namespace gristmill::coordinator {

nlohmann::ordered_json json_of(const PoolView& pool);

// The model, fallback and price of such a pool; of anything else what it has of them.
PoolSpec pool_spec_of(const nlohmann::ordered_json& pool);

} // namespace gristmill::coordinator
