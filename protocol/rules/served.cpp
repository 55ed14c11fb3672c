#include "protocol/rules/served.hpp"

#include "protocol/text/json_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill {
namespace {

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

std::set<std::string> models_of(const std::vector<PoolSpec>& pools) {
  std::set<std::string> models;
  for (const PoolSpec& pool : pools)
    if (!pool.endpoints.empty()) models.insert(pool.model);
  return models;
}

ModelNames models_of_all(const JobSpec& spec) {
  if (!spec.shape.models.empty()) return spec.shape.models;
  return ModelNames::of(json::text_of(json::find(json::root(spec.shape.params), "model")));
}

std::set<std::string> models_asked(const JobSpec& spec) {
  const ModelNames of_items = models_of_all(spec);
  std::set<std::string> models{of_items.begin(), of_items.end()};
  if (!spec.shape.judge_model.empty()) models.insert(spec.shape.judge_model);
  return models;
}

std::string why_unserved(const std::string& model, const std::set<std::string>& served) {
  if (served.empty()) return "no pool is configured and no worker announces an endpoint";
  if (model.empty() || served.contains(model)) return {};
  return fmt::format("no pool serves the model \"{}\"; served: {}", json::printable(model, 100),
                     list_of(served));
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
        option, list_of(served), json::printable(model, 100));
  };
  for (const std::string& model : models_of_all(spec))
    if (!served.contains(model)) return unserved("--model", model);
  if (const std::string& judge = spec.shape.judge_model; !judge.empty() && !served.contains(judge))
    return unserved("--judge-model", judge);
  if (!spec.policy.fallback_model.empty() && !served.contains(spec.policy.fallback_model))
    return unserved("--fallback-model", spec.policy.fallback_model);
  return {};
}

} // namespace gristmill
