// POOLS as the configuration states them: a model, the endpoints that serve it, what its tokens
// cost. Plain data for everybody who plans, routes or prices a call;
// actors/kit/program/config_file.hpp reads it from TOML. Invariant: prices and costs are whole
// numbers, so that sums never drift.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/job/usage.hpp"
#include "protocol/job/usd.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill {

// US$ for 1M tokens times 10^6, which is 10^-12 US$ for one token.
struct TokenPrice {
  std::uint64_t input = 0, output = 0;
  explicit operator bool() const { return input != 0 || output != 0; }
  bool operator==(const TokenPrice&) const = default;
};

struct PoolSpec {
  std::string model;
  std::string fallback; // for items that cannot succeed at `model`; empty = none
  TokenPrice price;
  std::uint64_t max_output_tokens = 0; // most of an answer whose request does not say; 0 = unknown
  std::vector<EndpointSpec> endpoints; // that every worker reaches; workers may announce others
  bool prefix_affinity = true;         // calls that begin alike go to one endpoint
  bool operator==(const PoolSpec&) const = default;
};

// What the tokens cost, rounded up; an absurd usage counts as usd_max.
Usd cost_of_tokens(const TokenPrice& price, const protocol::Usage& usage);

const PoolSpec* pool_of(const std::vector<PoolSpec>& pools, std::string_view model);

} // namespace gristmill
