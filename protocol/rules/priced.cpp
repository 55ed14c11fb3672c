#include "protocol/rules/priced.hpp"

#include "protocol/openai/tokens/bound.hpp"
#include "protocol/rules/served.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill {

std::string why_unpriced(const JobSpec& spec, const std::vector<PoolSpec>& pools) {
  constexpr std::string_view how =
      "give it to --config FILE of the coordinator or of `gristmill run`: [[pool]] with model, "
      "price_input and price_output";
  std::set<std::string> models = models_asked(spec);
  if (models_of_all(spec).empty()) models.insert(spec.policy.default_model);
  for (const std::string& model : std::set{models})
    if (const PoolSpec* pool = pool_of(pools, model); pool != nullptr && spec.endpoints.empty())
      models.insert(pool->fallback);
  models.insert(spec.policy.fallback_model);
  for (const std::string& asked : models) {
    if (asked.empty()) continue;
    const PoolSpec* pool = pool_of(pools, asked);
    if (pool == nullptr || !pool->price)
      return fmt::format("--budget-usd: expected a price of the model \"{}\", there is none; {}",
                         json::printable(asked, 100), how);
    // Batch lines may state limits of their own: they are seen when they are read.
    const bool are_documents = !spec.shape.prompt.empty() || !info(spec.shape.task).opening.empty();
    if (are_documents && pool->max_output_tokens == 0 && pool->price.output != 0 &&
        !openai::limits_answers(spec))
      return fmt::format("--budget-usd: expected a limit on the answers of the model \"{}\", so "
                         "that a call's cost has a bound, there is none; {}",
                         json::printable(asked, 100), how_to_limit_answers);
  }
  const bool any = std::any_of(pools.begin(), pools.end(),
                               [](const PoolSpec& pool) { return bool{pool.price}; });
  if (any) return {};
  return fmt::format("--budget-usd: expected prices of the models that the items name, there is "
                     "none of any model; {}",
                     how);
}

} // namespace gristmill
