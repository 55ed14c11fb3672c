#include "actors/supervisor/model_plan.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/rules/served.hpp"

#include "protocol/text/json_text.hpp"

namespace gristmill::supervisor {
namespace {

constexpr std::uint64_t output_tokens_default = 4'096;

} // namespace

bool may_fall_back(OutcomeClass cls) {
  switch (cls) {
  case OutcomeClass::too_long:
  case OutcomeClass::policy:
  case OutcomeClass::bad_result:
  case OutcomeClass::malformed:
  case OutcomeClass::transient:
  case OutcomeClass::timeout:
  case OutcomeClass::poison: return true;
  default: return false;
  }
}

ModelPlan::ModelPlan(const JobSpec& spec, const std::vector<PoolSpec>& pools)
    : pools_{pools}, own_endpoints_{!spec.endpoints.empty()}, models_of_all_{models_of_all(spec)},
      judge_model_{spec.shape.judge_model}, fallback_{spec.policy.fallback_model},
      default_model_{spec.policy.default_model} {}

PlannedModel ModelPlan::plan(const PartNumber& part, ItemKind kind, std::string_view raw,
                             bool on_fallback) const {
  const std::string first = first_model(part, kind, raw);
  std::string fallback = fallback_of(first);
  if (fallback == first) fallback.clear();
  PlannedModel planned;
  planned.has_fallback = !fallback.empty();
  // The configuration may have lost a pool's fallback since the item was sent there.
  const bool falls_back = on_fallback && planned.has_fallback;
  const std::string& model = falls_back ? fallback : first;
  const PoolSpec* pool = pool_of(pools_, model);
  const bool pool_says = pool != nullptr && pool->max_output_tokens != 0;
  planned.max_output_tokens = pool_says ? pool->max_output_tokens : output_tokens_default;
  planned.limits_answers = pool_says || pool == nullptr || pool->price.output == 0;
  planned.model = model;
  return planned;
}

// A server may name its model more exactly than the pool does.
TokenPrice ModelPlan::price_of(const PartNumber& part, std::string_view answered_by) const {
  const PoolSpec* pool = pool_of(pools_, answered_by);
  if (pool == nullptr && part.is_judge()) pool = pool_of(pools_, judge_model_);
  if (pool == nullptr && !part.is_judge() && !models_of_all_.empty())
    pool = pool_of(pools_, models_of_all_.at(part.model));
  if (pool == nullptr) pool = pool_of(pools_, default_model_);
  return pool == nullptr ? TokenPrice{} : pool->price;
}

std::string ModelPlan::first_model(const PartNumber& part, ItemKind kind,
                                   std::string_view raw) const {
  if (part.is_judge()) return judge_model_;
  if (!models_of_all_.empty())
    return models_of_all_.at(mutated("all_ask_first_model") ? 0 : part.model);
  if (kind != ItemKind::batch_line) return default_model_;
  const json::Value named = json::find(json::find(json::root(raw), "body"), "model");
  if (named.is(json::Kind::none) || named.is(json::Kind::null)) return default_model_;
  // Of another kind: whoever renders the request says so.
  if (!named.is(json::Kind::string)) return {};
  std::string model = json::text_of(named);
  return model.empty() ? default_model_ : model;
}

std::string ModelPlan::fallback_of(std::string_view model) const {
  if (!fallback_.empty()) return fallback_;
  const PoolSpec* pool = own_endpoints_ ? nullptr : pool_of(pools_, model);
  return pool == nullptr ? std::string{} : pool->fallback;
}

} // namespace gristmill::supervisor
