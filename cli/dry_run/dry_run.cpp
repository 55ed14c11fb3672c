#include "cli/dry_run/dry_run.hpp"
#include "protocol/rules/job_faults.hpp"

#include "actors/intake/intake.hpp"
#include "actors/kit/clock.hpp"
#include "actors/kit/program/terminal.hpp"
#include "cli/dry_run/field_check.hpp"
#include "cli/exit_codes.hpp"
#include "cli/run/run_options.hpp"
#include "cli/run/standard_input.hpp"
#include "coordinator/cache/cache_store.hpp"
#include "coordinator/inputs/file_source.hpp"
#include "coordinator/inputs/tokenizers.hpp"
#include "protocol/openai/request/canonical.hpp"
#include "protocol/rules/cache_scope.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <sys/stat.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

struct Inputs {
  std::vector<InputSpec> specs;
  InputFile standard_input{nullptr, std::fclose};
};

Result<Inputs> inputs_of(const std::vector<std::string>& names, const DryRunPlaces& places,
                         LeftOut& left_out) {
  Inputs inputs;
  std::error_code ignored;
  // By an earlier run, which the job would go on with.
  const bool spooled = !places.anew && fs::exists(places.state + ".stdin", ignored);
  auto found = found_inputs(names, places.output, &left_out);
  GRISTMILL_TRY(found);
  inputs.specs = std::move(*found);
  for (InputSpec& input : inputs.specs) {
    if (input.path != "-") continue;
    input.path = places.state + ".stdin";
    if (spooled) {
      GRISTMILL_TRY(StandardInput::refuse_other(places.state));
      continue;
    }
    auto file = kept_standard_input();
    GRISTMILL_TRY(file);
    inputs.standard_input = std::move(*file);
    const int descriptor = ::fileno(inputs.standard_input.get());
    struct stat about {};
    if (::fstat(descriptor, &about) == 0 && about.st_size == 0)
      return fail(ErrorCode::usage,
                  "INPUT -: expected items, got nothing: standard input is empty");
    input.path = fmt::format("/proc/self/fd/{}", descriptor);
  }
  return inputs;
}

Result<std::unique_ptr<intake::ByteSource>> opened(const JobSpec& spec) {
  return coordinator::FileSource::open(spec.inputs, fs::temp_directory_path());
}

// To the end of the input; under --strict to the first bad line, which is returned.
Result<std::optional<BadLine>> read_items(const JobSpec& spec, intake::ByteSource& source,
                                          Forecaster& forecaster) {
  intake::Intake intake{spec, source, {}};
  for (;;) {
    const auto item = intake.next();
    GRISTMILL_TRY(item);
    if (!*item) {
      forecaster.read_all(intake.position().before);
      return std::nullopt;
    }
    std::string where = intake.source_of((*item)->place);
    std::string bad = forecaster.item(**item, where);
    if (!bad.empty() && spec.policy.strict) return BadLine{std::move(where), std::move(bad)};
  }
}

// What a job with this cache would find there; of one that is not there yet, nothing.
Result<Forecaster::IsKnown> known_by_cache(const JobSpec& spec, const std::string& directory) {
  const std::string scope = cache_scope(spec);
  if (directory.empty() || scope.empty()) return Forecaster::IsKnown{};
  std::error_code ignored;
  if (fs::exists(directory, ignored) && !fs::is_directory(directory, ignored))
    return fail(ErrorCode::usage,
                fmt::format("--cache: expected a directory, {} is a file", directory));
  auto opened = coordinator::CacheStore::open_to_look(directory);
  const bool is_there = opened || (opened.error().code != ErrorCode::not_found &&
                                   opened.error().code != ErrorCode::io); // or it is damaged
  if (!is_there) return [](const RequestKey&) { return false; };
  GRISTMILL_TRY(opened);
  return [store = std::make_shared<coordinator::CacheStore>(std::move(*opened)),
          scope](const RequestKey& key) {
    const RequestKey there = openai::key_in_scope(key, scope);
    const auto found = store->find({&there, 1}, wall_seconds());
    return found && found->front().has_value();
  };
}

} // namespace

Result<std::optional<BadLine>> first_bad_line(const JobSpec& spec) {
  JobSpec strict = spec;
  strict.policy.strict = true;
  auto source = opened(strict);
  GRISTMILL_TRY(source);
  Forecaster forecaster{strict, (*source)->scratch()};
  return read_items(strict, **source, forecaster);
}

Result<std::string> why_nothing_runs(const JobSpec& spec) {
  JobSpec lenient = spec;
  lenient.policy.strict = false;
  auto source = opened(lenient);
  GRISTMILL_TRY(source);
  Forecaster forecaster{lenient, (*source)->scratch()};
  const auto read = read_items(lenient, **source, forecaster);
  GRISTMILL_TRY(read);
  const Forecast& forecast = forecaster.forecast();
  if (forecast.bad == 0 || forecast.bad < forecast.items) return std::string{};
  const BadLine& first = forecast.samples.front();
  return fmt::format("{}: {}", first.source, first.sentence);
}

int dry_run(JobSpec spec, const std::vector<std::string>& names, const DryRunPlaces& places,
            const Prices& prices, bool json) {
  LeftOut left_out;
  auto inputs = inputs_of(names, places, left_out);
  if (!inputs) return complain(inputs.error().message, exit_usage);
  left_out.tell();
  spec.inputs = std::move(inputs->specs);
  const auto fields = check_fields(spec);
  if (!fields) return complain(fields.error().message, exit_usage);
  if (!fields->refusal.empty()) return complain(fields->refusal, exit_usage);
  say(fields->note);
  for (const std::string& fault : faults_of(spec)) return complain(fault, exit_usage);
  auto source = opened(spec);
  if (!source) return complain(source.error().message, exit_usage);
  auto is_known = known_by_cache(spec, places.cache);
  if (!is_known) return complain(is_known.error().message, exit_usage);
  auto tokenizer = coordinator::tokenizer_of(spec);
  if (!tokenizer) return complain("--tokenizer " + tokenizer.error().message, exit_usage);
  Forecaster forecaster{spec, (*source)->scratch(), std::move(*is_known), std::move(*tokenizer)};
  const auto bad = read_items(spec, **source, forecaster);
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
