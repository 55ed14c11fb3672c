// VIEWS: workers and pools as people see them.
#pragma once

#include "actors/words/permits.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/counted_error.hpp"
#include "protocol/job/pools.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::coordinator {

// One worker as people see it.
struct WorkerView {
  SessionId session;
  std::string name, state, user;
  std::uint32_t capacity = 0, in_flight = 0, held = 0;
  std::uint64_t completed = 0;
  double rate = 0; // calls per second
};

// One pool as people see it; the rate limiter adds how its endpoints stand.
struct EndpointView {
  EndpointId id;
  std::string url;
  std::string worker; // that announces it; empty = every worker reaches it
  EndpointStanding standing = {};
  ErrorList errors = {}; // in this life of ours
  std::optional<CountedError> last_error = {};
};
struct PoolView {
  std::string model, fallback;
  TokenPrice price;
  std::vector<EndpointView> endpoints;
  std::uint64_t max_output_tokens = 0; // 0 = not known
};

} // namespace gristmill::coordinator
