#include "actors/merger/summary.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <vector>

namespace gristmill::merger {
namespace {

using Json = nlohmann::ordered_json;

std::string shortened(std::string_view text) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((text[i] & '\xc0') != '\x80' && characters++ == sample_characters_max)
      return std::string{text.substr(0, i)} + "…";
  return std::string{text};
}

Json counts_of(const JobCounts& counts, std::uint64_t cached) {
  return {{"total", counts.total},
          {"completed", counts.completed},
          {"failed", counts.failed},
          {"retrying", counts.retrying},
          {"cached", cached},
          {"ambiguous", counts.ambiguous},
          {"attempts", counts.attempts},
          {"late", counts.late}};
}

// Null when nothing that has a price was used, or when there is no budget.
Json cost_usd(std::uint64_t nano_usd) {
  return nano_usd == 0 ? Json() : Json(static_cast<double>(nano_usd) / 1e9);
}

} // namespace

void Summary::add(const LineFacts& facts) {
  if (facts.failed) add_error(facts);
  if (!facts.model.empty()) models_.add(facts.model);
  if (!facts.endpoint.empty()) endpoints_.add(facts.endpoint);
  if (facts.cached)
    ++cached_;
  else if (facts.attempts > 0)
    latency_ms_.add(facts.latency_ms);
  cached_tokens_ += facts.cached_tokens;
}

void Summary::add_error(const LineFacts& facts) {
  Cause cause{std::string{facts.error_class},
              std::string{facts.error_code.substr(0, limits::name_bytes_max)}, facts.http_status};
  if (cause.code.empty()) cause.code = fmt::format("http_{}", facts.http_status);
  if (errors_.size() >= summary_errors_max && !errors_.contains(cause)) cause = {"", "other", 0};
  Sample& sample = errors_[cause];
  if (sample.count++ == 0)
    sample = {1, shortened(facts.custom_id), shortened(facts.source),
              shortened(facts.error_message)};
}

Json Summary::errors() const {
  std::vector<const std::pair<const Cause, Sample>*> sorted;
  for (const auto& error : errors_) sorted.push_back(&error);
  std::ranges::stable_sort(sorted, std::ranges::greater{},
                           [](const auto* error) { return error->second.count; });
  Json list = Json::array();
  for (const auto* error : sorted) {
    const auto& [cause, sample] = *error;
    list.push_back({{"class", cause.cls},
                    {"code", cause.code},
                    {"http_status", cause.http_status ? Json(cause.http_status) : Json()},
                    {"count", sample.count},
                    {"sample",
                     {{"custom_id", sample.custom_id},
                      {"source", sample.source},
                      {"message", sample.message}}}});
  }
  return list;
}

std::string Summary::json(const MergeTask& task, const FinalFile& file,
                          const Strategy& strategy) const {
  const std::int64_t elapsed_s = std::max<std::int64_t>(task.now - task.created_at, 0);
  // The clock has whole seconds, so the shortest job counts as one.
  const double items_per_s = static_cast<double>(task.counts.total) /
                             static_cast<double>(std::max<std::int64_t>(elapsed_s, 1));
  Json json{{"job", to_string(task.job)},
            {"state", name_of(task.cancelled ? JobState::cancelled : JobState::finished)},
            {"counts", counts_of(task.counts, cached_)},
            {"tokens",
             {{"prompt", task.counts.prompt_tokens},
              {"completion", task.counts.completion_tokens},
              {"cached", cached_tokens_}}},
            {"cost_usd", cost_usd(task.counts.cost_nano_usd)},
            {"budget_usd", cost_usd(task.spec.budget_usd.nano)},
            {"errors", errors()},
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
              {"sha256", file.sha256.empty() ? Json() : Json(file.sha256)}}}};
  if (!file.ids.empty()) json["output"]["ids"] = file.ids;
  json[std::string{strategy.name()}] = strategy.result();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace gristmill::merger
