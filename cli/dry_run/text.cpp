// What a dry run found, as text for people and as JSON for programs.
#include "cli/terminal/text.hpp"
#include "cli/dry_run/dry_run.hpp"
#include "protocol/job/tokenizer_id.hpp"

#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gristmill::cli {
namespace {

using Json = nlohmann::ordered_json;
using openai::TokenRange;

std::uint64_t whole(double tokens) {
  return static_cast<std::uint64_t>(std::llround(tokens));
}

std::string shown(const TokenRange& tokens) {
  return fmt::format("{} ({} to {})", grouped(whole(tokens.likely)), grouped(whole(tokens.low)),
                     grouped(whole(tokens.high)));
}

std::string plural(std::uint64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", grouped(n), noun, n == 1 ? "" : "s");
}

class Lines {
public:
  void add(std::string_view name, const std::string& value) {
    text_ += fmt::format("{:<8} {}\n", name, value);
  }
  std::string take() && { return std::move(text_); }

private:
  std::string text_;
};

void add_input(Lines& lines, const Forecast& forecast, const JobSpec& spec) {
  lines.add("input",
            fmt::format(
                "{}, {}{}, {}", plural(spec.inputs.size(), "file"), plural(forecast.items, "item"),
                spec.limits.items != 0 ? fmt::format(" (--limit {})", spec.limits.items) : "",
                plural(forecast.bad, "bad line")));
  if (const auto read = sentence_of(forecast.items, forecast.preprocessed); !read.empty())
    lines.add("", read);
  for (const BadLine& bad : forecast.samples)
    lines.add("bad", fmt::format("{}: {}", bad.source, bad.sentence));
  if (forecast.bad > forecast.samples.size())
    lines.add("", fmt::format("and {} more", grouped(forecast.bad - forecast.samples.size())));
}

// Where there is one call for each item, nobody needs both numbers.
std::string items_of(const ModelShare& share) {
  const std::string items = plural(share.items, "item");
  return share.calls == share.items ? items : items + " in " + plural(share.calls, "call");
}

std::uint64_t least_calls(const Forecast& forecast, const JobSpec& spec) {
  const std::uint64_t packs = (forecast.packed + spec.policy.pack - 1) / spec.policy.pack;
  return forecast.calls - forecast.packed + packs;
}

void add_calls(Lines& lines, const Forecast& forecast, const JobSpec& spec) {
  if (spec.shape.chunk_tokens > 0)
    lines.add("chunks", fmt::format("{} of at most {} tokens", grouped(forecast.chunks),
                                    grouped(spec.shape.chunk_tokens)));
  if (!spec.shape.reduce_prompt.empty())
    lines.add("", fmt::format("{} to reduce their answers, if those have the likely length",
                              plural(forecast.reduce_calls, "call")));
  for (const auto& [path, calls] : forecast.paths) {
    std::string where;
    for (const EndpointSpec& endpoint : spec.endpoints)
      where += fmt::format("{}{}{}", where.empty() ? "" : " or ", endpoint.url, path);
    lines.add("calls", fmt::format("{} of POST {}", grouped(calls), where));
  }
  if (forecast.calls == 0) lines.add("calls", "none");
  if (forecast.known > 0)
    lines.add("", fmt::format("{} more have an answer in the cache", grouped(forecast.known)));
  if (forecast.repeated > 0)
    lines.add("", fmt::format("{} more are equal to one of these, and take its answer",
                              grouped(forecast.repeated)));
  if (forecast.packed > 0)
    lines.add("packs", fmt::format("{} of these go together, up to {} in a call as the endpoint "
                                   "takes them: {} at least (--pack)",
                                   grouped(forecast.packed), grouped(spec.policy.pack),
                                   plural(least_calls(forecast, spec), "call")));
  for (const auto& [model, share] : forecast.models)
    lines.add("model", model.empty()
                           ? fmt::format("{} name none: the endpoint must serve exactly one",
                                         plural(share.items, "item"))
                           : fmt::format("{}: {}, tokens in {}", model, items_of(share),
                                         shown(share.tokens.input)));
}

void add_money(Lines& lines, const Forecast& forecast, const Prices& prices) {
  if (const auto usd = cost_of(forecast, prices)) {
    lines.add("money", fmt::format("{} ({} to {})", dollars(usd->likely), dollars(usd->low),
                                   dollars(usd->high)));
    return;
  }
  std::string unknown;
  for (const auto& [model, share] : forecast.models)
    if (!prices.contains(model) && !model.empty()) unknown += (unknown.empty() ? "" : ", ") + model;
  lines.add("money",
            "not known: there is no price of " + (unknown.empty() ? "the model" : unknown));
}

void add_budget(Lines& lines, const Forecast& forecast, const JobSpec& spec, const Prices& prices) {
  if (!spec.limits.budget) return;
  const auto usd = cost_of(forecast, prices);
  if (!usd)
    return lines.add("budget", "no call: --budget-usd needs a price of every model, [[pool]] "
                               "price_input and price_output");
  const double has = spec.limits.budget.usd();
  const std::uint64_t items = items_within(forecast, *usd, spec.limits.budget);
  lines.add("budget",
            usd->high <= has ? fmt::format("{} is enough", dollars(has))
            : usd->likely <= has
                ? fmt::format("{} is likely enough, it may not be", dollars(has))
                : fmt::format("{} allows some {} of {}, then the job pauses", dollars(has),
                              grouped(items), plural(forecast.items - forecast.bad, "item")));
}

// What the job's own budgets make of it, at best.
double least_seconds(const Forecast& forecast, const JobSpec& spec) {
  double minutes = 0;
  const auto per_minute = [&minutes](double amount, std::uint64_t rate) {
    if (rate != 0) minutes = std::max(minutes, amount / static_cast<double>(rate));
  };
  per_minute(static_cast<double>(least_calls(forecast, spec)),
             spec.limits.rates.requests_per_minute);
  per_minute(forecast.tokens.input.likely + forecast.tokens.output.likely,
             spec.limits.rates.tokens_per_minute);
  return 60 * minutes;
}

Json json_of(const TokenRange& tokens) {
  return {
      {"low", whole(tokens.low)}, {"likely", whole(tokens.likely)}, {"high", whole(tokens.high)}};
}

Json json_of_tokenizer(const JobSpec& spec) {
  const auto id = tokenizer_id_from(spec.shape.tokenizer);
  return id ? Json{{"name", id->encoding}, {"sha256", id->sha256}} : Json();
}

Json json_of(const openai::TokenEstimate& tokens) {
  return {{"input", json_of(tokens.input)}, {"output", json_of(tokens.output)}};
}

} // namespace

std::string to_text(const Forecast& forecast, const JobSpec& spec, const DryRunPlaces& places,
                    const Prices& prices) {
  Lines lines;
  lines.add("dry run", "nothing was called, nothing was written");
  add_input(lines, forecast, spec);
  add_calls(lines, forecast, spec);
  lines.add("tokens", fmt::format("in {}, out {}", shown(forecast.tokens.input),
                                  shown(forecast.tokens.output)));
  const auto tokenizer = tokenizer_id_from(spec.shape.tokenizer);
  if (tokenizer)
    lines.add("",
              fmt::format("texts are counted with {}; answers, and what chat templates add, are",
                          tokenizer->encoding));
  lines.add("", "estimated: likely (least to most); --limit 10 tells how long answers really are");
  add_money(lines, forecast, prices);
  add_budget(lines, forecast, spec, prices);
  if (const double seconds = least_seconds(forecast, spec); seconds >= 1)
    lines.add("time", fmt::format("at least {} within the job's budgets", time_span(seconds)));
  lines.add("result", places.output);
  lines.add("state",
            places.state + (places.state_exists ? " (it exists: the job resumes if it is the same)"
                                                : " (would be made)"));
  return std::move(lines).take();
}

std::string to_json(const Forecast& forecast, const JobSpec& spec, const DryRunPlaces& places,
                    const Prices& prices) {
  Json samples = Json::array(), models = Json::array(), endpoints = Json::array();
  for (const BadLine& bad : forecast.samples)
    samples.push_back({{"source", bad.source}, {"message", bad.sentence}});
  for (const auto& [model, share] : forecast.models)
    models.push_back({{"model", model.empty() ? Json() : Json(model)},
                      {"items", share.items},
                      {"calls", share.calls},
                      {"tokens", json_of(share.tokens)}});
  for (const EndpointSpec& endpoint : spec.endpoints) endpoints.push_back(endpoint.url);
  Json cost;
  if (const auto usd = cost_of(forecast, prices))
    cost = {{"low", usd->low}, {"likely", usd->likely}, {"high", usd->high}};
  Json budget;
  if (spec.limits.budget) {
    budget = {{"usd", spec.limits.budget.usd()}, {"items", nullptr}};
    if (const auto usd = cost_of(forecast, prices))
      budget["items"] = items_within(forecast, *usd, spec.limits.budget);
  }
  Json json{{"dry_run", true},
            {"inputs", spec.inputs.size()},
            {"items", forecast.items},
            {"bad", forecast.bad}};
  add_preprocessed(json, forecast.items, forecast.preprocessed);
  json.update({{"bad_lines", std::move(samples)},
               {"chunks", forecast.chunks},
               {"calls", forecast.paths},
               {"reduce_calls", forecast.reduce_calls},
               {"repeated", forecast.repeated},
               {"known", forecast.known},
               {"pack", spec.policy.pack},
               {"least_calls", least_calls(forecast, spec)},
               {"endpoints", std::move(endpoints)},
               {"models", std::move(models)},
               {"tokens", json_of(forecast.tokens)},
               {"tokenizer", json_of_tokenizer(spec)},
               {"cost_usd", std::move(cost)},
               {"budget", std::move(budget)},
               {"least_seconds", least_seconds(forecast, spec)},
               {"output", places.output},
               {"state", places.state},
               {"state_exists", places.state_exists}});
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace gristmill::cli
