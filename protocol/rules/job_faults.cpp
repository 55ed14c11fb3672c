#include "protocol/rules/job_faults.hpp"

#include "protocol/job/endpoint_faults.hpp"
#include "protocol/job/options.hpp"
#include "protocol/job/output_form.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/request/request_body.hpp"
#include "protocol/openai/schema/answer_schema.hpp"
#include "protocol/openai/task/labels.hpp"
#include "protocol/openai/template/prompt_template.hpp"
#include "protocol/part_number.hpp"
#include "protocol/rules/chunk_faults.hpp"
#include "protocol/rules/faults.hpp"
#include "protocol/rules/tokenizer_faults.hpp"
#include "protocol/rules/where.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <string>

namespace gristmill {
namespace {

constexpr std::uint64_t inputs_max = 0xffff'fffe; // a place names its input in 32 bits

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
}

void check_params(const JobSpec& spec, Faults& faults) {
  if (const auto checked = json::check(spec.shape.params); !checked)
    return faults.add("--param", "a JSON object", checked.error().message);
  const json::Value params = json::root(spec.shape.params);
  if (!params.is(json::Kind::object))
    return faults.add("--param", "a JSON object", json::name_of(params.kind()));
  if (const std::string_view schema = openai::schema_to_check(spec); !schema.empty())
    if (const auto compiled = openai::AnswerSchema::compile(schema); !compiled)
      faults.add_sentence("--json-schema", compiled.error().message);
  if (openai::asks_for_stream(params))
    faults.add("--param", "no stream, because a batch has none", "stream");
  const json::Value model = json::find(params, "model");
  if (!spec.shape.models.empty() && !model.is(json::Kind::none))
    faults.add("--param", "the model in --model alone", "model");
  else if (!model.is(json::Kind::none) && !model.is(json::Kind::string))
    faults.add("--param", "model to be a string", json::name_of(model.kind()));
}

void check_models(const JobSpec& spec, Faults& faults) {
  const ModelNames& models = spec.shape.models;
  if (!faults.at_most("--model", PartNumber::models_max, "models", models.size())) return;
  std::set<std::string_view> known;
  for (const std::string& model : models) {
    faults.name("--model", model);
    if (!known.insert(model).second)
      faults.add_quoted("--model", "each model once, because an item is asked of each", model);
  }
  if (models.size() > 1 && !spec.policy.fallback_model.empty())
    faults.add_quoted("--fallback-model",
                      "none with several --model: each has the fallback of its [[pool]]",
                      spec.policy.fallback_model);
}

// "answer.1" is that of the first model.
bool is_answer_of(std::string_view field, std::size_t models) {
  constexpr std::string_view opening = "answer.";
  if (!field.starts_with(opening)) return false;
  for (std::size_t n = 1; n <= models; ++n)
    if (field.substr(opening.size()) == std::to_string(n)) return true;
  return false;
}

void check_judge(const JobSpec& spec, Faults& faults) {
  const RequestShape& shape = spec.shape;
  faults.text("--judge-model", shape.judge_model, limits::name_bytes_max);
  if (shape.judge_model.empty() != shape.judge_prompt.empty())
    return faults.add(shape.judge_model.empty() ? "--judge-model" : "--judge-prompt",
                      "a judge to have both --judge-model and --judge-prompt", "only one of them");
  if (shape.judge_prompt.empty()) return;
  if (info(shape.task).embeds)
    faults.add("--judge-model", "--task chat or classify with a judge, who reads answers",
               fmt::format("--task {}", name_of(shape.task)));
  if (shape.models.empty())
    faults.add("--judge-model", "--model M beside it, whose answers it sees", "none");
  faults.prompt("--judge-prompt", shape.judge_prompt);
  const auto fields = openai::template_fields(shape.judge_prompt);
  if (!fields) return;
  bool any = false;
  for (const std::string& field : *fields) {
    if (!field.starts_with("answer.")) continue;
    any = true;
    if (!is_answer_of(field, shape.models.size()))
      faults.add_quoted("--judge-prompt",
                        fmt::format("{{{{answer.1}}}} to {{{{answer.{}}}}}, one for each --model",
                                    std::max<std::size_t>(shape.models.size(), 1)),
                        fmt::format("{{{{{}}}}}", field));
  }
  if (!any)
    faults.add("--judge-prompt", "an answer in the template, such as {{answer.1}}",
               "none, so that the judge would see no answer");
}

// The same words for every document are seldom meant, and always paid for.
void check_fields(const JobSpec& spec, Faults& faults) {
  if (spec.policy.no_field_needed || spec.shape.prompt.empty()) return;
  if (spec.shape.chunk_tokens > 0) return; // they need the text itself (chunk_faults.hpp)
  for (const std::string& text : {spec.shape.prompt, spec.shape.system}) {
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

void check_preprocessing(const RequestShape& shape, Faults& faults) {
  if (faults.at_most("--where", limits::job_fields_max, "conditions", shape.where.size()))
    for (const std::string& text : shape.where) {
      faults.text("--where", text, limits::text_bytes_max);
      if (const auto condition = Condition::read(text); !condition)
        faults.add_sentence("--where", condition.error().message);
    }
  if (shape.sample_seed != 0 && shape.sample.is_all())
    faults.add("--seed", "--sample with it (a model's own seed is --param seed=N)",
               "no sample to draw");
}

void check_inputs(const JobSpec& spec, Faults& faults) {
  if (spec.inputs.empty() && !spec.open)
    faults.add("INPUT", "at least one input, or --open", "none");
  if (spec.open && spec.policy.strict)
    faults.add("--open", "no --strict with it, which reads the whole input before the first call",
               "both");
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
  const TaskInfo& task = info(spec.shape.task);
  const std::string named = fmt::format("--task {}", name_of(spec.shape.task));
  if (task.has_labels) {
    check_labels(spec.shape.labels, faults);
  } else if (!spec.shape.labels.empty()) {
    faults.add("--labels", "--task classify with it", named);
  }
  if (task.embeds && !spec.shape.system.empty())
    faults.add_quoted("--system",
                      "none with --task embed, because an embedding has no system message",
                      spec.shape.system);
  if ((task.embeds || task.has_labels) && !openai::schema_to_check(spec).empty())
    faults.add("--json-schema",
               "--task chat with it, because the other answers are vectors and labels", named);
}

void check_ranges(const JobSpec& spec, Faults& faults) {
  for (const JobOption& option : job_options())
    with_member(option, spec, [&]<class T>(const T& member) {
      if constexpr (std::is_unsigned_v<T> && !std::is_same_v<T, bool>)
        if (member < option.least || member > option.most)
          faults.add(option.form == OptionForm::seconds ? fmt::format("{} (ms)", option.flag)
                                                        : std::string{option.flag},
                     fmt::format("{} to {}", option.least, option.most), member);
    });
}

void check_output(const JobSpec& spec, Faults& faults) {
  const std::string_view output = spec.output;
  faults.text("--output", output, limits::text_bytes_max);
  if (output.ends_with(".npy.gz") || output.ends_with(".npy.zst"))
    faults.add_quoted("--output", "an array without compression, NAME.npy", output);
  if (output_form(output) != OutputForm::npy) return;
  if (!info(spec.shape.task).embeds)
    faults.add("--output", "--task embed with an array (.npy)",
               fmt::format("--task {}", name_of(spec.shape.task)));
  if (spec.shape.order != ResultOrder::input)
    faults.add("--order", "input with an array (.npy), whose row N is item N",
               name_of(spec.shape.order));
}

} // namespace

std::vector<std::string> faults_of(const JobSpec& spec) {
  Faults faults;
  check_inputs(spec, faults);
  check_task(spec, faults);
  check_ranges(spec, faults);
  faults.prompt("--prompt", spec.shape.prompt);
  faults.prompt("--system", spec.shape.system);
  check_fields(spec, faults);
  check_models(spec, faults);
  check_judge(spec, faults);
  check_chunks(spec, faults);
  check_tokenizer(spec, faults);
  faults.text("default_model", spec.policy.default_model, limits::name_bytes_max);
  check_params(spec, faults);
  faults.name("--id-field", spec.shape.id_field);
  faults.name("--text-field", spec.shape.text_field);
  if (faults.at_most("--keep", limits::job_fields_max, "fields", spec.shape.keep.size()))
    for (const std::string& field : spec.shape.keep) faults.name("--keep", field);
  if (!spec.shape.assume_url.empty())
    if (const auto path = openai::path_of(spec.shape.assume_url); !path)
      faults.add("--assume-url", "a path that may be called", path.error().message);
  check_delimiter(spec.shape.delimiter, faults);
  check_preprocessing(spec.shape, faults);
  if (faults.at_most("--endpoint", limits::job_endpoints_max, "endpoints", spec.endpoints.size()))
    for (const EndpointSpec& endpoint : spec.endpoints) check_endpoint(endpoint, faults);
  faults.text("--fallback-model", spec.policy.fallback_model, limits::name_bytes_max);
  check_output(spec, faults);
  if (const std::size_t bytes = to_json(spec).size(); bytes > limits::spec_bytes_max)
    faults.add("job", fmt::format("at most {} bytes in all", limits::spec_bytes_max), bytes);
  return std::move(faults).take();
}

} // namespace gristmill
