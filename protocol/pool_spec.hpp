// POOLS as the configuration states them: a model, the endpoints that serve it, what its tokens
// cost. Plain data for everybody who plans, routes or prices a call; actors/kit/config_file.hpp
// reads it from TOML. Invariant: prices and costs are whole numbers, so that sums never drift.
#pragma once

#include "protocol/job_spec.hpp"
#include "protocol/messages.hpp"

#include <cstdint>
#include <set>
#include <string>
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

// What the tokens cost, rounded up; an absurd usage counts as cost_nano_usd_max.
inline constexpr std::uint64_t cost_nano_usd_max = 1'000'000'000'000'000; // a million dollars
std::uint64_t cost_nano_usd(const TokenPrice& price, const protocol::Usage& usage);

const PoolSpec* pool_of(const std::vector<PoolSpec>& pools, std::string_view model);

// Why the job's calls would have no known price, as a sentence; empty = all have one, as far as
// that can be known before the items are read. What a line says to whoever gives a job a budget of
// money and no limit on its answers.
inline constexpr std::string_view how_to_limit_answers =
    "give --max-tokens N, max_tokens in the request's body, or max_output_tokens in the [[pool]] "
    "of its model";
std::string why_unpriced(const JobSpec& spec, const std::vector<PoolSpec>& pools);

// The models that have a configured endpoint.
std::set<std::string> models_of(const std::vector<PoolSpec>& pools);

// The model that job or parameters name for every item; empty = each item names its own.
std::string model_of_all(const JobSpec& spec);

// Why calls for the model have to wait, as a sentence; empty = some pool serves it. No model: the
// items name theirs.
std::string why_unserved(const std::string& model, const std::set<std::string>& served);

// The same for an item, which without a model goes to the only one that is served.
std::string why_item_unserved(const std::string& model, const std::set<std::string>& served);

// Why a job cannot go to the pools that serve these models, as a sentence; empty = it can. A job
// with endpoints of its own always can.
std::string why_not_served(const JobSpec& spec, const std::set<std::string>& served);

} // namespace gristmill
