#include "cli/dry_run.hpp"

#include "actors/kit/terminal.hpp"
#include "cli/exit_codes.hpp"
#include "coordinator/file_source.hpp"

#include <filesystem>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

// No model can have this name: a line feed is no part of one.
constexpr std::string_view unnamed = "\n";
constexpr std::string_view other_models = "(others)";

struct Inputs {
  std::vector<InputSpec> specs;
  InputFile standard_input{nullptr, std::fclose};
};

Result<Inputs> inputs_of(const std::vector<std::string>& names, const DryRunPlaces& places) {
  Inputs inputs;
  std::error_code ignored;
  const bool spooled = fs::exists(places.state + ".stdin", ignored); // by an earlier run
  for (const std::string& name : names) {
    if (name == "-" && !spooled) {
      if (inputs.standard_input) continue; // named twice; a run would read one spool twice
      auto file = kept_standard_input();
      if (!file) return tl::unexpected{file.error()};
      inputs.standard_input = std::move(*file);
      const int descriptor = ::fileno(inputs.standard_input.get());
      inputs.specs.push_back({fmt::format("/proc/self/fd/{}", descriptor), "stdin"});
      continue;
    }
    auto found = found_inputs({name}, places.output);
    if (!found) return tl::unexpected{found.error()};
    for (InputSpec& input : *found)
      if (input.path == "-") input = {places.state + ".stdin", "stdin"};
    inputs.specs.insert(inputs.specs.end(), found->begin(), found->end());
  }
  return inputs;
}

// To the end of the input; under --strict to the first bad line, which is returned.
Result<std::optional<BadLine>> read_items(const JobSpec& spec, Forecaster& forecaster) {
  auto source = coordinator::FileSource::open(spec.inputs, fs::temp_directory_path());
  if (!source) return tl::unexpected{source.error()};
  intake::Intake intake{spec, **source, {}};
  for (;;) {
    const auto item = intake.next();
    if (!item) return tl::unexpected{item.error()};
    if (!*item) return std::nullopt;
    std::string where = intake.source_of((*item)->place);
    std::string bad = forecaster.item(**item, where);
    if (!bad.empty() && spec.strict) return BadLine{std::move(where), std::move(bad)};
  }
}

int complain(const std::string& sentence, int code) {
  say(fmt::format("gristmill run --dry-run: {}\n", sentence));
  return code;
}

} // namespace

std::string Forecaster::item(const intake::Item& item, const std::string& source) {
  ++forecast_.items;
  auto request = item.bad.empty()
                     ? openai::render(spec_, documents_, item.place.kind, item.raw, unnamed)
                     : Result<openai::Request>{fail(ErrorCode::bad_input, item.bad)};
  if (!request) {
    ++forecast_.bad;
    if (forecast_.samples.size() < Forecast::samples_max)
      forecast_.samples.push_back({source, request.error().message});
    return std::move(request.error().message);
  }
  const auto tokens = openai::estimate_tokens(*request, openai::answer_tokens_default);
  forecast_.tokens.input += tokens.input;
  forecast_.tokens.output += tokens.output;
  std::string_view model = request->model == unnamed ? std::string_view{} : request->model;
  const bool crowded = forecast_.models.size() >= Forecast::models_max;
  if (crowded && !forecast_.models.contains(model)) model = other_models;
  ModelShare& share = forecast_.models[std::string{model}];
  ++share.items;
  share.tokens.input += tokens.input;
  share.tokens.output += tokens.output;
  ++forecast_.paths[request->path]; // the allow-list bounds them
  return {};
}

std::optional<openai::TokenRange> cost_of(const Forecast& forecast, const Prices& prices) {
  openai::TokenRange usd;
  for (const auto& [model, share] : forecast.models) {
    const auto price = prices.find(model);
    if (price == prices.end()) return std::nullopt;
    const auto add = [&usd](const openai::TokenRange& tokens, double per_million) {
      usd += {tokens.low * per_million / 1e6, tokens.likely * per_million / 1e6,
              tokens.high * per_million / 1e6};
    };
    add(share.tokens.input, price->second.input);
    add(share.tokens.output, price->second.output);
  }
  if (forecast.models.empty()) return std::nullopt;
  return usd;
}

std::uint64_t items_within(const Forecast& forecast, const openai::TokenRange& usd, Usd budget) {
  const std::uint64_t items = forecast.items - forecast.bad;
  const double has = static_cast<double>(budget.nano) / 1e9;
  if (usd.likely <= has) return items;
  return static_cast<std::uint64_t>(static_cast<double>(items) * has / usd.likely);
}

Result<std::optional<BadLine>> first_bad_line(const JobSpec& spec) {
  JobSpec strict = spec;
  strict.strict = true;
  Forecaster forecaster{strict};
  return read_items(strict, forecaster);
}

int dry_run(JobSpec spec, const std::vector<std::string>& names, const DryRunPlaces& places,
            const Prices& prices, bool json) {
  auto inputs = inputs_of(names, places);
  if (!inputs) return complain(inputs.error().message, exit_usage);
  spec.inputs = std::move(inputs->specs);
  for (const std::string& fault : faults_of(spec)) return complain(fault, exit_usage);
  Forecaster forecaster{spec};
  const auto bad = read_items(spec, forecaster);
  if (!bad) return complain(bad.error().message, exit_usage);
  if (*bad)
    return complain(fmt::format("{}: {}", (*bad)->source, (*bad)->sentence), exit_bad_input);
  const Forecast& forecast = forecaster.forecast();
  const std::string text =
      json ? to_json(forecast, spec, places, prices) : to_text(forecast, spec, places, prices);
  gristmill::print(text);
  return exit_ok;
}

} // namespace gristmill::cli
