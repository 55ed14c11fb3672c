#include "actors/merger/summary.hpp"

#include "protocol/job/preprocessed.hpp"
#include "protocol/job/usd.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <vector>

namespace gristmill::merger {
namespace {

using Json = nlohmann::ordered_json;

Json counts_of(const JobCounts& counts) {
  return {{"total", counts.total},
          {"completed", counts.completed},
          {"failed", counts.failed},
          {"retrying", counts.retrying},
          {"dropped", counts.preprocessed.dropped()},
          {"cached", counts.cached},
          {"parts", counts.parts},
          {"calls", counts.calls},
          {"ambiguous", counts.ambiguous},
          {"attempts", counts.attempts},
          {"late", counts.late}};
}

Json saved_of(const JobCounts& counts) {
  return {
      {"answers", counts.cached},
      {"tokens",
       {{"prompt", counts.saved_prompt_tokens}, {"completion", counts.saved_completion_tokens}}},
      {"cost_usd", usd_or_null(counts.saved_cost)}};
}

Json json_of(const ErrorList& errors) {
  Json list = Json::array();
  for (const CountedError& error : errors)
    list.push_back(
        {{"class", info(error.cls).name},
         {"code", error.code},
         {"http_status", error.http_status ? Json(error.http_status) : Json()},
         {"count", error.final},
         {"retried", error.retried()},
         {"sample",
          {{"custom_id", error.item}, {"source", error.source}, {"message", error.sample}}}});
  return list;
}

} // namespace

void Summary::add(const LineFacts& facts) {
  if (facts.failed) add_error(facts);
  if (facts.by_model.empty()) add_model(facts.model, facts.endpoint);
  for (const ModelAnswer& answer : facts.by_model) add_model(answer.model, answer.endpoint);
  add_model(facts.judge.model, facts.judge.endpoint);
  if (!facts.cached && facts.attempts > 0) latency_ms_.add(facts.latency_ms);
}

void Summary::add_model(std::string_view model, std::string_view endpoint) {
  if (!model.empty()) models_.add(model);
  if (!endpoint.empty()) endpoints_.add(endpoint);
}

void Summary::add_error(const LineFacts& facts) {
  const std::string unnamed = fmt::format("http_{}", facts.http_status);
  const MetError error{outcome_class_named(facts.error_class).value_or(OutcomeClass::transient),
                       facts.error_code.empty() ? std::string_view{unnamed} : facts.error_code,
                       static_cast<std::uint16_t>(facts.http_status),
                       facts.error_message,
                       facts.custom_id,
                       facts.source};
  errors_.met(error);
  errors_.ended_item(error);
}

ErrorList Summary::errors(const ErrorList& met) const {
  ErrorList errors = errors_.list();
  for (const CountedError& error : met) {
    if (error.retried() == 0) continue;
    // The line of an item without a response does not say which status there was.
    const auto known = std::ranges::find_if(errors, [&](const CountedError& other) {
      return same_cause(error, other) ||
             (other.http_status == 0 && other.cls == error.cls && other.code == error.code);
    });
    if (known != errors.end()) {
      known->count += error.retried();
    } else {
      errors.push_back(error);
      errors.back().count = error.retried();
      errors.back().final = 0;
    }
  }
  std::ranges::stable_sort(errors, std::ranges::greater{}, [](const CountedError& error) {
    return std::pair{error.final, error.count};
  });
  return errors;
}

std::string Summary::json(const MergeTask& task, const FinalFile& file,
                          const Strategy& strategy) const {
  const std::int64_t elapsed_s = std::max<std::int64_t>(task.now - task.created_at, 0);
  // The clock has whole seconds, so the shortest job counts as one.
  const double items_per_s = static_cast<double>(task.counts.total) /
                             static_cast<double>(std::max<std::int64_t>(elapsed_s, 1));
  Json json{{"job", to_string(task.job)},
            {"state", name_of(task.cancelled ? JobState::cancelled : JobState::finished)},
            {"counts", counts_of(task.counts)}};
  add_preprocessed(json, task.counts.total, task.counts.preprocessed);
  json.update({{"tokens",
                {{"prompt", task.counts.prompt_tokens},
                 {"completion", task.counts.completion_tokens},
                 {"cached", task.counts.cached_prompt_tokens}}},
               {"cost_usd", usd_or_null(task.counts.cost)},
               {"saved", saved_of(task.counts)},
               {"budget_usd", usd_or_null(task.spec.limits.budget)},
               {"errors", json_of(errors(task.errors))},
               {"latency_ms",
                {{"p50", latency_ms_.percentile(50)},
                 {"p90", latency_ms_.percentile(90)},
                 {"p99", latency_ms_.percentile(99)},
                 {"max", latency_ms_.max()}}},
               {"models", models_.counts()},
               {"endpoints", endpoints_.counts()},
               {"elapsed_s", elapsed_s},
               {"items_per_s", std::round(1000 * items_per_s) / 1000},
               {"output",
                {{"path", file.path},
                 {"bytes", file.bytes},
                 {"lines", file.lines},
                 {"sha256", file.sha256.empty() ? Json() : Json(file.sha256)}}}});
  if (!file.ids.empty()) json["output"]["ids"] = file.ids;
  json[std::string{strategy.name()}] = strategy.result();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace gristmill::merger
