#include "protocol/job_spec.hpp"

#include "protocol/endpoint_faults.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/json_text.hpp"
#include "protocol/openai/request_body.hpp"
#include "protocol/openai/wire.hpp"

#include <fmt/format.h>

namespace gristmill {
namespace {

namespace json = openai::json;

constexpr std::uint32_t timeout_ms_max = 24 * 3'600'000, retries_max = 1'000;
constexpr std::uint64_t inputs_max = 0xffff'fffe; // a place names its input in 32 bits

// Collects sentences of the form "OPTION: expected …, got …".
class Faults {
 public:
  template <class Got>
  void add(std::string_view option, std::string_view expected, const Got& got) {
    found_.push_back(fmt::format("{}: expected {}, got {}", option, expected, got));
  }
  void add_quoted(std::string_view option, std::string_view expected, std::string_view got) {
    add(option, expected, fmt::format("\"{}\"", json::printable(got, 100)));
  }
  void range(std::string_view option, std::uint64_t low, std::uint64_t high, std::uint64_t got) {
    if (got < low || got > high) add(option, fmt::format("{} to {}", low, high), got);
  }
  // Every text travels as JSON, so it must be UTF-8.
  void text(std::string_view option, std::string_view got, std::size_t bytes_max) {
    if (!json::is_utf8(got)) add_quoted(option, "UTF-8", got);
    if (got.size() > bytes_max) add(option, fmt::format("at most {} bytes", bytes_max), got.size());
  }
  void name(std::string_view option, std::string_view got) {
    if (got.empty()) add(option, "a name", "nothing");
    text(option, got, limits::name_bytes_max);
  }
  std::vector<std::string> take() && { return std::move(found_); }

 private:
  std::vector<std::string> found_;
};

void check_endpoint(const EndpointSpec& endpoint, Faults& faults) {
  if (const auto fault = fault_of_url(endpoint.url); !fault.empty())
    faults.add_quoted("--endpoint", fault, without_credentials(endpoint.url));
  faults.text("--endpoint", endpoint.url, limits::name_bytes_max);
  if (const auto fault = fault_of_environment_name(endpoint.api_key_env); !fault.empty())
    faults.add("--api-key-env", fault, "something else (not shown, it may be the key itself)");
  faults.text("--api-key-env", endpoint.api_key_env, limits::name_bytes_max);
  faults.text("--api-key-file", endpoint.api_key_file, limits::text_bytes_max);
}

void check_params(const JobSpec& spec, Faults& faults) {
  if (const auto checked = json::check(spec.params); !checked)
    return faults.add("--param", "a JSON object", checked.error().message);
  const json::Value params = json::root(spec.params);
  if (!params.is(json::Kind::object))
    return faults.add("--param", "a JSON object", json::name_of(params.kind()));
  if (openai::asks_for_stream(params))
    faults.add("--param", "no stream, because a batch has none", "stream");
  if (!spec.model.empty() && !json::find(params, "model").is(json::Kind::none))
    faults.add("--param", "the model in --model alone", "model");
}

void check_template(std::string_view option, std::string_view text, Faults& faults) {
  faults.text(option, text, limits::spec_bytes_max);
  if (const auto fields = openai::template_fields(text); !fields)
    faults.add(option, "a template", fields.error().message);
}

void check_inputs(const JobSpec& spec, Faults& faults) {
  if (spec.inputs.empty()) faults.add("INPUT", "at least one input", "none");
  for (const InputSpec& input : spec.inputs) {
    if (input.path.empty()) faults.add("INPUT", "a path", "nothing");
    if (input.name.empty()) faults.add("INPUT", "a name", "nothing");
    faults.text("INPUT", input.path, limits::text_bytes_max);
    faults.text("INPUT", input.name, limits::text_bytes_max);
    if (input.files > 0 && spec.inputs.size() > 1)
      faults.add("INPUT", "a list of inputs by itself", "a list and more");
    if (input.files > inputs_max)
      faults.add("INPUT", fmt::format("at most {} files", inputs_max), input.files);
  }
}

} // namespace

std::vector<std::string> faults_of(const JobSpec& spec) {
  Faults faults;
  check_inputs(spec, faults);
  if (spec.task != "chat") faults.add_quoted("--task", "chat", spec.task);
  check_template("--prompt", spec.prompt, faults);
  check_template("--system", spec.system, faults);
  faults.text("--model", spec.model, limits::name_bytes_max);
  faults.text("default_model", spec.default_model, limits::name_bytes_max);
  check_params(spec, faults);
  faults.name("--id-field", spec.id_field);
  faults.name("--text-field", spec.text_field);
  if (spec.order != "input" && spec.order != "completion")
    faults.add_quoted("--order", "input or completion", spec.order);
  for (const std::string& label : spec.labels) faults.name("--labels", label);
  for (const std::string& field : spec.keep) faults.name("--keep", field);

  for (const EndpointSpec& endpoint : spec.endpoints) check_endpoint(endpoint, faults);
  faults.range("--timeout (ms)", 1, timeout_ms_max, spec.timeout_ms);
  faults.range("--connect-timeout (ms)", 1, timeout_ms_max, spec.connect_timeout_ms);
  faults.range("--retries", 0, retries_max, spec.retries);
  faults.range("--batch-size", 1, limits::batch_calls_max, spec.batch_size);
  faults.range("--max-failures (%)", 0, 100, spec.max_failure_percent);
  faults.text("--fallback-model", spec.fallback_model, limits::name_bytes_max);
  faults.range("--max-line-bytes", 1, limits::line_bytes_max, spec.line_bytes_max);
  faults.text("--output", spec.output, limits::text_bytes_max);
  if (const std::size_t bytes = to_json(spec).size(); bytes > limits::spec_bytes_max)
    faults.add("job", fmt::format("at most {} bytes in all", limits::spec_bytes_max), bytes);
  return std::move(faults).take();
}

} // namespace gristmill
