#include "coordinator/http/api/pool_json.hpp"

#include "coordinator/http/api/job_json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace gristmill::coordinator {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}
Json limit_or_null(std::uint64_t limit) {
  return limit == 0 ? Json() : Json(limit);
}

Json json_of(const EndpointView& endpoint) {
  const EndpointStanding& standing = endpoint.standing;
  Json json{{"url", endpoint.url}, {"worker", text_or_null(endpoint.worker)}};
  for (const RateLimitRow& row : rate_limit_rows)
    json[std::string{row.name}] = limit_or_null(standing.limits.*row.amount);
  json.update(Json{
      {"max_in_flight", limit_or_null(standing.limits.max_in_flight)},
      {"concurrency_limit", limit_or_null(standing.slots)},
      {"inputs_limit", limit_or_null(standing.inputs)},
      {"in_flight", standing.in_flight},
      {"queue_waiting", standing.queue ? Json(standing.queue->waiting) : Json()},
      {"queue_running",
       standing.queue && standing.queue->running >= 0 ? Json(standing.queue->running) : Json()},
      {"parked_s", static_cast<double>(standing.parked_ms) / 1e3},
      {"why", text_or_null(standing.why)},
      {"last_error", endpoint.last_error ? coordinator::json_of(*endpoint.last_error) : Json()}});
  return json;
}

} // namespace

Json json_of(const PoolView& pool) {
  const auto price = [&](std::uint64_t of_token) {
    return pool.price ? Json(static_cast<double>(of_token) / 1e6) : Json();
  };
  Json endpoints = Json::array();
  for (const EndpointView& endpoint : pool.endpoints) endpoints.push_back(json_of(endpoint));
  return {{"model", pool.model},
          {"fallback", text_or_null(pool.fallback)},
          {"price_input", price(pool.price.input)},
          {"price_output", price(pool.price.output)},
          {"max_output_tokens", limit_or_null(pool.max_output_tokens)},
          {"endpoints", std::move(endpoints)}};
}

PoolSpec pool_spec_of(const Json& pool) {
  const auto text = [&](const char* member) {
    const Json value = pool.value(member, Json());
    return value.is_string() ? value.get<std::string>() : std::string{};
  };
  const auto price = [&](const char* member) -> std::uint64_t {
    const Json value = pool.value(member, Json());
    const double usd = value.is_number() ? value.get<double>() : 0;
    return usd > 0 ? static_cast<std::uint64_t>(std::llround(usd * 1e6)) : 0;
  };
  PoolSpec spec;
  spec.model = text("model");
  spec.fallback = text("fallback");
  spec.price = {price("price_input"), price("price_output")};
  const Json most = pool.value("max_output_tokens", Json());
  if (most.is_number_unsigned()) spec.max_output_tokens = most.get<std::uint64_t>();
  return spec;
}

} // namespace gristmill::coordinator
