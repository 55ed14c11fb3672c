#include "protocol/job_spec.hpp"

#include "protocol/endpoint_faults.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/json_text.hpp"
#include "protocol/openai/labels.hpp"
#include "protocol/openai/request_body.hpp"
#include "protocol/openai/wire.hpp"
#include "protocol/output_form.hpp"

#include <fmt/format.h>
#include <set>

namespace gristmill {
namespace {

namespace json = openai::json;

constexpr std::uint32_t timeout_ms_max = 24 * 3'600'000, retries_max = 1'000;
constexpr std::uint64_t inputs_max = 0xffff'fffe; // a place names its input in 32 bits
constexpr std::uint64_t weight_max = 1'000, priority_max = 100;
constexpr std::uint64_t deadline_max = 253'402'300'799; // the end of the year 9999

// Collects sentences of the form "OPTION: expected …, got …".
class Faults {
public:
  template <class Got>
  void add(std::string_view option, std::string_view expected, const Got& got) {
    if (found_.size() < limits::job_faults_max)
      found_.push_back(fmt::format("{}: expected {}, got {}", option, expected, got));
  }
  void add_quoted(std::string_view option, std::string_view expected, std::string_view got) {
    add(option, expected, fmt::format("\"{}\"", json::printable(got, 100)));
  }
  void range(std::string_view option, std::uint64_t low, std::uint64_t high, std::uint64_t got) {
    if (got < low || got > high) add(option, fmt::format("{} to {}", low, high), got);
  }
  // How many of a list there may be; false: too many, so that nobody looks at each.
  bool at_most(std::string_view option, std::size_t most, std::string_view what, std::size_t got) {
    if (got > most) add(option, fmt::format("at most {} {}", most, what), got);
    return got <= most;
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
  if (const auto fault = fault_of_metrics_url(endpoint.metrics_url); !fault.empty())
    faults.add_quoted("--metrics-url", fault, without_credentials(endpoint.metrics_url));
  faults.text("--metrics-url", endpoint.metrics_url, limits::name_bytes_max);
  if (const auto fault = fault_of_environment_name(endpoint.api_key_env); !fault.empty())
    faults.add("--api-key-env", fault, "something else (not shown, it may be the key itself)");
  faults.text("--api-key-env", endpoint.api_key_env, limits::name_bytes_max);
  faults.text("--api-key-file", endpoint.api_key_file, limits::text_bytes_max);
  if (endpoint.token_counting != "usage" && endpoint.token_counting != "reserved")
    faults.add_quoted("endpoints: token_counting", "\"usage\" or \"reserved\"",
                      endpoint.token_counting);
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

// The same words for every document are seldom meant, and always paid for.
void check_fields(const JobSpec& spec, Faults& faults) {
  if (spec.no_field_needed || spec.prompt.empty()) return;
  for (const std::string& text : {spec.prompt, spec.system}) {
    const auto fields = openai::template_fields(text);
    if (!fields || !fields->empty()) return;
  }
  faults.add("--prompt", "a field of the document in the template, such as {{text}}",
             "none, so that no document would be sent; --no-field-needed if that is meant");
}

void check_delimiter(std::string_view delimiter, Faults& faults) {
  if (delimiter.empty()) return;
  const char c = delimiter.front();
  const bool separates = c == '\t' || (c >= ' ' && c < 0x7f && c != '"');
  if (delimiter.size() > 1 || !separates)
    faults.add_quoted("--delimiter", "one ASCII character but a quote, or tab", delimiter);
}

void check_inputs(const JobSpec& spec, Faults& faults) {
  if (spec.inputs.empty()) faults.add("INPUT", "at least one input", "none");
  if (!faults.at_most("INPUT", limits::job_inputs_max, "inputs beside each other",
                      spec.inputs.size()))
    return;
  for (const InputSpec& input : spec.inputs) {
    if (input.path.empty()) faults.add("INPUT", "a path", "nothing");
    if (input.name.empty()) faults.add("INPUT", "a name", "nothing");
    faults.text("INPUT", input.path, limits::text_bytes_max);
    faults.text("INPUT", input.name, limits::text_bytes_max);
    if (input.files > 0 && spec.inputs.size() > 1)
      faults.add("INPUT", "a list of inputs by itself", "a list and more");
    if (input.files > 0 && input.offset > 0)
      faults.add("INPUT", "a list of inputs in a file of its own", "one within another file");
    if (input.files > inputs_max)
      faults.add("INPUT", fmt::format("at most {} files", inputs_max), input.files);
  }
}

void check_labels(const std::vector<std::string>& labels, Faults& faults) {
  if (labels.size() < 2 || labels.size() > limits::job_labels_max)
    return faults.add("--labels",
                      fmt::format("2 to {} labels with --task classify", limits::job_labels_max),
                      labels.size());
  std::set<std::string> known;
  for (const std::string& label : labels) {
    faults.name("--labels", label);
    if (label.find_first_of("\r\n") != std::string::npos || label.starts_with(' ') ||
        label.ends_with(' '))
      faults.add_quoted("--labels", "labels of one line without space around them", label);
    if (!known.insert(openai::folded_label(label)).second)
      faults.add_quoted("--labels", "each label once, in whatever case", label);
  }
}

void check_task(const JobSpec& spec, Faults& faults) {
  if (spec.task != "chat" && spec.task != "embed" && spec.task != "classify")
    faults.add_quoted("--task", "chat, embed or classify", spec.task);
  if (spec.task == "classify") {
    check_labels(spec.labels, faults);
  } else if (!spec.labels.empty()) {
    faults.add("--labels", "--task classify with it", "--task " + spec.task);
  }
  if (spec.task == "embed" && !spec.system.empty())
    faults.add_quoted("--system",
                      "none with --task embed, because an embedding has no system message",
                      spec.system);
}

void check_output(const JobSpec& spec, Faults& faults) {
  const std::string_view output = spec.output;
  faults.text("--output", output, limits::text_bytes_max);
  if (output.ends_with(".npy.gz") || output.ends_with(".npy.zst"))
    faults.add_quoted("--output", "an array without compression, NAME.npy", output);
  if (output_form(output) != OutputForm::npy) return;
  if (spec.task != "embed")
    faults.add("--output", "--task embed with an array (.npy)", "--task " + spec.task);
  if (spec.order != "input")
    faults.add("--order", "input with an array (.npy), whose row N is item N", spec.order);
}

} // namespace

std::vector<std::string> faults_of(const JobSpec& spec) {
  Faults faults;
  check_inputs(spec, faults);
  check_task(spec, faults);
  faults.range("--weight", 1, weight_max, spec.weight);
  faults.range("--priority", 0, priority_max, spec.priority);
  faults.range("--deadline", 0, deadline_max, spec.deadline);
  check_template("--prompt", spec.prompt, faults);
  check_template("--system", spec.system, faults);
  check_fields(spec, faults);
  faults.text("--model", spec.model, limits::name_bytes_max);
  faults.text("default_model", spec.default_model, limits::name_bytes_max);
  check_params(spec, faults);
  faults.name("--id-field", spec.id_field);
  faults.name("--text-field", spec.text_field);
  if (spec.order != "input" && spec.order != "completion")
    faults.add_quoted("--order", "input or completion", spec.order);
  if (faults.at_most("--keep", limits::job_fields_max, "fields", spec.keep.size()))
    for (const std::string& field : spec.keep) faults.name("--keep", field);
  if (!spec.assume_url.empty())
    if (const auto path = openai::path_of(spec.assume_url); !path)
      faults.add("--assume-url", "a path that may be called", path.error().message);
  check_delimiter(spec.delimiter, faults);
  if (faults.at_most("--endpoint", limits::job_endpoints_max, "endpoints", spec.endpoints.size()))
    for (const EndpointSpec& endpoint : spec.endpoints) check_endpoint(endpoint, faults);
  faults.range("--timeout (ms)", 1, timeout_ms_max, spec.timeout_ms);
  faults.range("--patience (s)", 0, patience_s_max, spec.patience_s);
  faults.range("--connect-timeout (ms)", 1, timeout_ms_max, spec.connect_timeout_ms);
  faults.range("--retries", 0, retries_max, spec.retries);
  faults.range("--batch-size", 1, limits::batch_calls_max, spec.batch_size);
  faults.range("--max-failures (%)", 0, 100, spec.max_failure_percent);
  faults.range("--hedge (%)", 0, 100, spec.hedge_percent);
  faults.text("--fallback-model", spec.fallback_model, limits::name_bytes_max);
  faults.range("--max-line-bytes", 1, limits::line_bytes_max, spec.line_bytes_max);
  check_output(spec, faults);
  if (const std::size_t bytes = to_json(spec).size(); bytes > limits::spec_bytes_max)
    faults.add("job", fmt::format("at most {} bytes in all", limits::spec_bytes_max), bytes);
  return std::move(faults).take();
}

} // namespace gristmill
