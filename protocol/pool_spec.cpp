#include "protocol/pool_spec.hpp"

#include "protocol/openai/json_text.hpp"
#include "protocol/openai/wire.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill {
namespace {

constexpr std::uint64_t pico_per_nano = 1'000;
constexpr std::size_t models_named_max = 20; // in a sentence

std::string list_of(const std::set<std::string>& served) {
  std::vector<std::string_view> named;
  for (const std::string& model : served) {
    if (named.size() == models_named_max) break;
    named.push_back(model);
  }
  const std::size_t left = served.size() - named.size();
  return fmt::format("{}{}", fmt::join(named, ", "),
                     left == 0 ? "" : fmt::format(" and {} more", left));
}

} // namespace

std::uint64_t cost_nano_usd(const TokenPrice& price, const protocol::Usage& usage) {
  std::uint64_t input = 0, output = 0, sum = 0;
  if (__builtin_mul_overflow(usage.prompt, price.input, &input) ||
      __builtin_mul_overflow(usage.completion, price.output, &output) ||
      __builtin_add_overflow(input, output, &sum))
    return cost_nano_usd_max;
  const std::uint64_t nano = sum / pico_per_nano + (sum % pico_per_nano != 0);
  return std::min(nano, cost_nano_usd_max);
}

const PoolSpec* pool_of(const std::vector<PoolSpec>& pools, std::string_view model) {
  const auto it = std::find_if(pools.begin(), pools.end(),
                               [model](const PoolSpec& pool) { return pool.model == model; });
  return it == pools.end() ? nullptr : &*it;
}

std::string why_unpriced(const JobSpec& spec, const std::vector<PoolSpec>& pools) {
  constexpr std::string_view how =
      "give it to --config FILE of the coordinator or of `gristmill run`: [[pool]] with model, "
      "price_input and price_output";
  std::vector<std::string> models{spec.fallback_model};
  const std::string model = model_of_all(spec);
  models.push_back(model.empty() ? spec.default_model : model);
  if (const PoolSpec* pool = pool_of(pools, model); pool != nullptr && spec.endpoints.empty())
    models.push_back(pool->fallback);
  for (const std::string& asked : models) {
    if (asked.empty()) continue;
    const PoolSpec* pool = pool_of(pools, asked);
    if (pool == nullptr || !pool->price)
      return fmt::format("--budget-usd: expected a price of the model \"{}\", there is none; {}",
                         openai::json::printable(asked, 100), how);
    // Batch lines may state limits of their own: they are seen when they are read.
    const bool are_documents = !spec.prompt.empty() || spec.task == "classify";
    if (are_documents && pool->max_output_tokens == 0 && pool->price.output != 0 &&
        !openai::limits_answers(spec))
      return fmt::format("--budget-usd: expected a limit on the answers of the model \"{}\", so "
                         "that a call's cost has a bound, there is none; {}",
                         openai::json::printable(asked, 100), how_to_limit_answers);
  }
  const bool any = std::any_of(pools.begin(), pools.end(),
                               [](const PoolSpec& pool) { return bool{pool.price}; });
  if (any) return {};
  return fmt::format("--budget-usd: expected prices of the models that the items name, there is "
                     "none of any model; {}",
                     how);
}

std::set<std::string> models_of(const std::vector<PoolSpec>& pools) {
  std::set<std::string> models;
  for (const PoolSpec& pool : pools)
    if (!pool.endpoints.empty()) models.insert(pool.model);
  return models;
}

std::string model_of_all(const JobSpec& spec) {
  if (!spec.model.empty()) return spec.model;
  namespace json = openai::json;
  const json::Value named = json::find(json::root(spec.params), "model");
  return named.is(json::Kind::string) ? json::text_of(named) : std::string{};
}

std::string why_unserved(const std::string& model, const std::set<std::string>& served) {
  if (served.empty()) return "no pool is configured and no worker announces an endpoint";
  if (model.empty() || served.contains(model)) return {};
  return fmt::format("no pool serves the model \"{}\"; served: {}",
                     openai::json::printable(model, 100), list_of(served));
}

std::string why_item_unserved(const std::string& model, const std::set<std::string>& served) {
  if (model.empty() && served.size() > 1)
    return "the item names no model and several are served: " + list_of(served);
  return why_unserved(model, served);
}

std::string why_not_served(const JobSpec& spec, const std::set<std::string>& served) {
  if (!spec.endpoints.empty()) return {};
  if (served.empty())
    return "expected an endpoint for the job, got none: " + why_unserved("", served) +
           "; give --endpoint URL, a [[pool]] to the coordinator's --config, or "
           "start a worker with --endpoint URL --model M";
  const auto unserved = [&](std::string_view option, const std::string& model) {
    return fmt::format(
        "{}: expected a model that a pool serves ({}), got \"{}\"; name one of them, "
        "or give --endpoint URL",
        option, list_of(served), openai::json::printable(model, 100));
  };
  const std::string model = model_of_all(spec);
  if (!model.empty() && !served.contains(model)) return unserved("--model", model);
  if (!spec.fallback_model.empty() && !served.contains(spec.fallback_model))
    return unserved("--fallback-model", spec.fallback_model);
  return {};
}

} // namespace gristmill
