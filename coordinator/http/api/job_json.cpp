#include "coordinator/http/api/job_json.hpp"

#include "coordinator/http/api/pool_json.hpp"
#include "protocol/job/estimate.hpp"
#include "protocol/job/usd.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gristmill::coordinator {
namespace {

using Json = nlohmann::ordered_json;

// Each object's members once: writer and reader go through the same list.
template <class Counts, class Visit> void visit_counts(Counts& counts, Visit&& visit) {
  visit("total", counts.total);
  visit("total_known", counts.total_known);
  visit("completed", counts.completed);
  visit("failed", counts.failed);
  visit("retrying", counts.retrying);
  visit("in_flight", counts.in_flight);
  visit("cached", counts.cached);
  visit("parts", counts.parts);
  visit("calls", counts.calls);
  visit("attempts", counts.attempts);
  visit("ambiguous", counts.ambiguous);
  visit("late", counts.late);
}

template <class Counts, class Visit> void visit_saved(Counts& counts, Visit&& visit) {
  visit("prompt", counts.saved_prompt_tokens);
  visit("completion", counts.saved_completion_tokens);
}

template <class Counts, class Visit> void visit_tokens(Counts& counts, Visit&& visit) {
  visit("prompt", counts.prompt_tokens);
  visit("completion", counts.completion_tokens);
}

template <class View, class Visit> void visit_rest(View& job, Visit&& visit) {
  visit("reason", job.reason);
  visit("detail", job.detail);
  visit("why_waiting", job.why_waiting);
  visit("created_at", job.created_at);
  visit("ended_at", job.ended_at);
  visit("output", job.output);
  visit("weight", job.weight);
  visit("priority", job.priority);
  visit("deadline", job.deadline);
  visit("urgent", job.urgent);
}

template <class View, class Visit> void visit_worker(View& worker, Visit&& visit) {
  visit("name", worker.name);
  visit("state", worker.state);
  visit("user", worker.user);
  visit("capacity", worker.capacity);
  visit("in_flight", worker.in_flight);
  visit("held", worker.held);
  visit("completed", worker.completed);
  visit("rate", worker.rate);
}

auto writer_to(Json& object) {
  return [&object](const char* name, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, JobReason>) {
      object[name] = name_of(value);
    } else {
      object[name] = value;
    }
  };
}

auto reader_of(const Json& object) {
  return [&object](const char* name, auto& value) {
    const auto it = object.find(name);
    if (it == object.end()) return;
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, JobReason>) {
      value = job_reason_named(it->template get<std::string>()).value_or(JobReason::none);
    } else {
      it->get_to(value);
    }
  };
}

// What it will have used when it is done; null when that is not known, or when it is over.
Json estimate(const wiring::JobView& job) {
  const auto total = is_over(job.state) ? std::nullopt : estimate_of(job.counts);
  if (!total) return {};
  return {{"tokens", {{"prompt", total->prompt_tokens}, {"completion", total->completion_tokens}}},
          {"cost_usd", usd_or_null(total->cost)}};
}

template <class T> Result<T> not_understood(std::string_view what, const std::string& why) {
  return fail(ErrorCode::bad_input, fmt::format("expected {} from the coordinator, got something "
                                                "else ({}): are both of the same version?",
                                                what, why));
}

} // namespace

Json json_of(const CountedError& error) {
  const auto text = [](const std::string& value) { return value.empty() ? Json() : Json(value); };
  return {{"class", info(error.cls).name},
          {"code", text(error.code)},
          {"http_status", error.http_status == 0 ? Json() : Json(error.http_status)},
          {"count", error.count},
          {"final", error.final},
          {"retried", error.retried()},
          {"sample", text(error.sample)},
          {"custom_id", text(error.item)},
          {"source", text(error.source)},
          {"at", error.at == 0 ? Json() : Json(error.at)}};
}

Json json_of(const wiring::JobView& job) {
  Json counts = Json::object(), tokens = Json::object(), saved = Json::object();
  visit_counts(job.counts, writer_to(counts));
  visit_tokens(job.counts, writer_to(tokens));
  visit_saved(job.counts, writer_to(saved));
  Json json{
      {"id", to_string(job.id)},
      {"state", name_of(job.state)},
      {"counts", std::move(counts)},
      {"tokens", std::move(tokens)},
      {"cost_usd", usd_or_null(job.counts.cost)},
      {"budget_usd", usd_or_null(job.budget)},
      {"saved", {{"tokens", std::move(saved)}, {"cost_usd", usd_or_null(job.counts.saved_cost)}}},
      {"estimate", estimate(job)}};
  json["counts"]["dropped"] = job.counts.preprocessed.dropped();
  add_preprocessed(json, job.counts.total, job.counts.preprocessed);
  visit_rest(job, writer_to(json));
  json["open"] = job.is_closed ? Json(!*job.is_closed) : Json();
  json["appends"] = job.is_closed ? Json(job.appends) : Json();
  const bool waits = wiring::is_waiting(job.waiting_for);
  json["waiting_for"] = waits ? Json(name_of(job.waiting_for)) : Json();
  json["errors"] = Json::array();
  if (job.errors)
    for (const CountedError& error : *job.errors) json["errors"].push_back(json_of(error));
  return json;
}

Json json_of(const wiring::Explanation& explanation) {
  const WaitReason& reason = explanation.reason;
  const auto text = [](const std::string& value) { return value.empty() ? Json() : Json(value); };
  // To the millisecond, and as that is spelled.
  const auto seconds = [](double s) { return s < 0 ? Json() : Json(std::round(s * 1e3) / 1e3); };
  return {{"job", to_string(explanation.job)},
          {"item", text(explanation.item)},
          {"number", explanation.number ? Json(*explanation.number + 1) : Json()},
          {"kind", name_of(reason.kind)},
          {"sentence", explanation.sentence},
          {"remedy", text(explanation.remedy)},
          {"endpoint", text(reason.endpoint)},
          {"worker", text(reason.worker)},
          {"limit", reason.limit == 0 ? Json() : Json(reason.limit)},
          {"learned", reason.learned},
          {"configured", reason.configured == 0 ? Json() : Json(reason.configured)},
          {"call", reason.attempt ? Json(to_string(reason.attempt)) : Json()},
          {"for_s", seconds(explanation.for_s)},
          {"since_s", seconds(explanation.since_s)},
          {"error", explanation.known.error ? json_of(*explanation.known.error) : Json()}};
}

Json json_of(const WorkerView& worker) {
  Json json{{"session", to_string(worker.session)}};
  visit_worker(worker, writer_to(json));
  return json;
}

// What an unknown class is, only a newer coordinator could say: it is left out.
SharedErrors errors_of(const Json& list) {
  ErrorList errors;
  for (const Json& json : list) {
    const auto cls = outcome_class_named(json.value("class", ""));
    if (!cls) continue;
    const auto text = [&](const char* name) {
      const Json value = json.value(name, Json());
      return value.is_string() ? value.get<std::string>() : std::string{};
    };
    const auto number = [&](const char* name) {
      const Json value = json.value(name, Json());
      return value.is_number_unsigned() ? value.get<std::uint64_t>() : std::uint64_t{0};
    };
    errors.push_back({*cls, text("code"), static_cast<std::uint16_t>(number("http_status")),
                      number("count"), std::min(number("final"), number("count")), text("sample"),
                      text("custom_id"), text("source"), static_cast<std::int64_t>(number("at"))});
  }
  return std::make_shared<const ErrorList>(std::move(errors));
}

Result<wiring::JobView> job_view_of(const Json& json) {
  wiring::JobView job;
  try {
    const auto state = job_state_named(json.at("state").get<std::string>());
    if (!parse(json.at("id").get<std::string>(), job.id) || !state)
      return not_understood<wiring::JobView>("a job", "its id or state is unknown");
    job.state = *state;
    visit_counts(job.counts, reader_of(json.at("counts")));
    visit_tokens(job.counts, reader_of(json.at("tokens")));
    job.counts.preprocessed = preprocessed_of(json);
    job.counts.cost = usd_of(json.value("cost_usd", Json()));
    if (const auto saved = json.find("saved"); saved != json.end()) {
      visit_saved(job.counts, reader_of(saved->at("tokens")));
      job.counts.saved_cost = usd_of(saved->value("cost_usd", Json()));
    }
    job.budget = usd_of(json.value("budget_usd", Json()));
    visit_rest(job, reader_of(json));
    if (const Json open = json.value("open", Json()); open.is_boolean()) {
      job.is_closed = !open.get<bool>();
      job.appends = json.value("appends", std::uint64_t{0});
    }
    job.errors = errors_of(json.value("errors", Json::array()));
    return job;
  } catch (const Json::exception& e) {
    return not_understood<wiring::JobView>("a job", e.what());
  }
}

Result<WorkerView> worker_view_of(const Json& json) {
  WorkerView worker;
  try {
    visit_worker(worker, reader_of(json));
    return worker;
  } catch (const Json::exception& e) {
    return not_understood<WorkerView>("a worker", e.what());
  }
}

} // namespace gristmill::coordinator
