#include "cli/job_options.hpp"

#include "actors/kit/config_options.hpp"
#include "actors/kit/usage_sentence.hpp"
#include "cli/money.hpp"
#include "cli/text_file.hpp"
#include "protocol/endpoint_faults.hpp"
#include "protocol/openai/json_text.hpp"
#include "protocol/openai/json_tree.hpp"
#include "protocol/private_host.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

namespace gristmill::cli {
namespace {

using Json = nlohmann::ordered_json;
// Sorted, because two commands that give the same parameters are the same job.
using Params = std::map<std::string, Json>;

std::uint32_t to_ms(double seconds) {
  return static_cast<std::uint32_t>(seconds * 1'000);
}

// K=V: V as JSON if it is JSON, else as a string.
Result<> add_param(Params& params, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(
        ErrorCode::usage,
        fmt::format("--param: expected KEY=VALUE, got \"{}\"; for instance --param top_p=0.9",
                    text));
  if (!openai::json::is_utf8(text))
    return fail(ErrorCode::usage,
                fmt::format("--param: expected UTF-8, got {}", openai::json::printable(text, 100)));
  const std::string value = text.substr(equals + 1);
  auto parsed = openai::json::tree(value);
  if (!parsed && Json::accept(value)) // JSON all the same: deeper than any request may be
    return fail(ErrorCode::usage, "--param: " + parsed.error().message);
  params[text.substr(0, equals)] = parsed ? std::move(*parsed) : Json(value);
  return {};
}

// N, P% or off.
Result<> set_max_failures(JobSpec& spec, std::string_view text) {
  spec.max_failures = spec.max_failure_percent = 0;
  if (text == "off") return {};
  std::uint64_t number = 0;
  const bool percent = text.ends_with('%');
  const char* end = text.data() + text.size() - percent;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || number == 0 || (percent && number > 100))
    return fail(ErrorCode::usage,
                fmt::format("--max-failures: expected a number from 1, a percentage from 1% to "
                            "100%, or off, got \"{}\"",
                            text));
  if (percent) {
    spec.max_failure_percent = static_cast<std::uint32_t>(number);
  } else {
    spec.max_failures = number;
  }
  return {};
}

// P or P%; 0 is off.
Result<> set_hedge(JobSpec& spec, std::string_view text) {
  const char* end = text.data() + text.size() - text.ends_with('%');
  const auto [stop, error] = std::from_chars(text.data(), end, spec.hedge_percent);
  if (error != std::errc{} || stop != end || spec.hedge_percent > 100)
    return fail(ErrorCode::usage,
                fmt::format("--hedge: expected a percentage from 0% to 100%, got \"{}\"", text));
  return {};
}

// What OpenAI allows as a schema's name.
std::string schema_name(const std::string& path) {
  std::string name = std::filesystem::path{path}.stem().string().substr(0, 64);
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-') c = '_';
  return name.empty() ? "answer" : name;
}

// The file's members keep their order, because a model writes them in that order.
Result<> add_schema(Params& params, const std::string& path) {
  const auto text = text_of_file("--json-schema", path);
  if (!text) return tl::unexpected{text.error()};
  auto schema = openai::json::tree(*text);
  if (!schema)
    return fail(ErrorCode::usage,
                fmt::format("--json-schema {}: expected a JSON object, got something that is not "
                            "JSON: {}",
                            path, schema.error().message));
  if (!schema->is_object())
    return fail(ErrorCode::usage, fmt::format("--json-schema {}: expected a JSON object, got a {}",
                                              path, schema->type_name()));
  if (params.contains("response_format"))
    return fail(ErrorCode::usage,
                "--json-schema: expected no --param response_format beside it, got one");
  Json format{{"name", schema_name(path)}, {"schema", std::move(*schema)}, {"strict", true}};
  params["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(format)}};
  return {};
}

const CLI::Validator natural{[](const std::string& text) {
                               return is_natural(text)
                                          ? std::string{}
                                          : fmt::format("expected a natural number, got {}", text);
                             },
                             "N"};

// Often a variable that is not set, and every document would be sent and paid as it stands.
constexpr const char* empty_template =
    "expected a template with some text, got an empty one; leave "
    "it out to send the documents as they are";
bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}
const CLI::Validator template_with_text{[](const std::string& text) {
                                          return is_blank(text) ? std::string{empty_template}
                                                                : std::string{};
                                        },
                                        ""};

// As it is typed: a tab by its name.
std::string delimiter_of(const std::string& typed) {
  return typed == "tab" || typed == "\\t" ? "\t" : typed;
}

} // namespace

void add_budget_option(CLI::App& app, double& usd, const std::string& help) {
  app.add_option("--budget-usd", usd, help)->check(CLI::Range(1e-9, 1e6));
}

void JobOptions::add_to(CLI::App& app, const std::string& endpoint_help) {
  app.add_option("INPUT", inputs,
                 "files, directories or patterns: OpenAI Batch JSONL, JSONL of objects, CSV or TSV "
                 "with header, text; .gz and .zst of these; - = standard input")
      ->required();
  app.add_option("--endpoint", endpoints,
                 "OpenAI-compatible base URL, e.g. http://host:8000/v1; repeatable " +
                     endpoint_help);
  app.add_option("--api-key-env", api_key_env,
                 "environment variable that holds the key; '' = there is none [OPENAI_API_KEY, of "
                 "servers on this machine and in private networks none]");
  app.add_option("--api-key-file", api_key_file, "file that holds the key");
  app.add_option("-m,--model", model, "model; overrides a line's model");
  auto* inline_prompt = app.add_option("-p,--prompt", prompt,
                                       "prompt template; {{text}} is the document, {{field}} a "
                                       "field; \\{{ stands for braces that are meant")
                            ->check(template_with_text);
  app.add_option("--prompt-file", prompt_file, "file with the prompt template")
      ->excludes(inline_prompt);
  app.add_option("--system", system, "system message, a template too");
  app.add_flag("--no-field-needed", no_field_needed,
               "take a template that uses nothing of the documents");
  app.add_option(
         "--task", task,
         "what to do with documents: chat, embed (the filled template goes to /embeddings) or "
         "classify (chat; the system message is --system, else, without -p, \"Classify the "
         "text that the user gives.\", and then an instruction that lists --labels and asks "
         "for exactly one)")
      ->check(CLI::IsMember({"chat", "embed", "classify"}))
      ->capture_default_str();
  app.add_option("--labels", labels, "the labels of --task classify: A,B,C; repeatable")
      ->delimiter(',');
  app.add_option("--id-field", id_field, "field with an object's id")->capture_default_str();
  app.add_option("--text-field", text_field, "field that {{text}} stands for")
      ->capture_default_str();
  app.add_option("--keep", keep,
                 "F,...: fields of an object or a row to copy into its result; repeatable")
      ->delimiter(',');
  app.add_flag("--skip-blank", skip_blank,
               "leave out documents without text (empty, null, only space), which else are error "
               "lines");
  app.add_option("--delimiter", delimiter,
                 "what separates the fields of CSV and TSV inputs: one character, or tab [found by "
                 "the header: , ; tab |]");
  app.add_option("--assume-url", assume_url,
                 "what batch lines call that name no method and no url, e.g. /v1/chat/completions");
  app.add_option("--order", order, "order of the result lines")
      ->check(CLI::IsMember({"input", "completion"}))
      ->capture_default_str();
  app.add_option("--param", params, "KEY=VALUE: a request parameter; repeatable");
  app.add_option("--max-tokens", max_tokens,
                 "most tokens of an answer, in the words of the request's path")
      ->check(natural);
  app.add_option("--temperature", temperature, "sampling temperature")->check(CLI::Range(0.0, 2.0));
  app.add_option("--rpm", requests_per_minute, "most requests per minute [unlimited]")
      ->check(natural);
  app.add_option("--tpm", tokens_per_minute, "most tokens per minute [unlimited]")->check(natural);
  app.add_option("--max-in-flight", max_in_flight,
                 "most calls in flight over all workers [unlimited]")
      ->check(natural);
  add_budget_option(app, budget_usd,
                    "US$ that the job may cost in its whole life, over all runs [unlimited]; needs "
                    "prices ([[pool]] price_input, price_output)");
  app.add_option("--timeout", timeout_s, "seconds that one call may take")
      ->check(CLI::Range(0.001, 86'400.0))
      ->capture_default_str();
  app.add_option("--connect-timeout", connect_timeout_s, "seconds that connecting may take")
      ->check(CLI::Range(0.001, 3'600.0))
      ->capture_default_str();
  app.add_option("--retries", retries, "attempts after the first")
      ->check(CLI::Range(0u, 1'000u))
      ->capture_default_str();
  app.add_option("--patience", patience_s,
                 "seconds that the job waits for endpoints that are away, loading or full until it "
                 "pauses; 0: as long as it takes")
      ->check(CLI::Range(0u, patience_s_max))
      ->capture_default_str();
  app.add_option("--batch-size", batch_size,
                 "most items sent to a worker together; fewer as needed")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  app.add_option("--max-line-bytes", line_bytes_max, "longest input line")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{16u << 20}))
      ->capture_default_str();
  app.add_option("--limit", limit, "first N items only")->check(natural);
  app.add_option("--max-failures", max_failures,
                 "N: pause the job when N items have failed; P%: when P% of the items that are "
                 "done have, once there are 100; off: never")
      ->capture_default_str();
  app.add_option("--hedge", hedge,
                 "P%: give the last items a second call, at another endpoint if there is one, when "
                 "they take far longer than usual; at most P% of the items")
      ->capture_default_str();
  app.add_option(
      "--json-schema", json_schema,
      "file with the JSON schema that answers must have (response_format of chat calls)");
  app.add_flag("--strict", strict,
               "a bad input line fails the job, and `run` before its first call, with 5");
  app.add_option("--fallback-model", fallback_model,
                 "tried when a line cannot succeed at its first model [its pool's fallback]");
  add_config_option(app, config);
}

Result<JobSpec> JobOptions::spec() const {
  JobSpec spec;
  spec.task = task;
  for (const auto& label : labels) spec.labels.push_back(CLI::detail::trim_copy(label));
  spec.model = model;
  spec.system = system;
  spec.prompt = prompt;
  if (!prompt_file.empty()) {
    auto text = text_of_file("--prompt-file", prompt_file);
    if (!text) return tl::unexpected{text.error()};
    if (is_blank(*text))
      return fail(ErrorCode::usage,
                  fmt::format("--prompt-file {}: {}", prompt_file, empty_template));
    spec.prompt = std::move(*text);
  }
  Params request;
  for (const auto& param : params)
    if (auto added = add_param(request, param); !added) return tl::unexpected{added.error()};
  if (temperature >= 0) request["temperature"] = temperature;
  if (!json_schema.empty())
    if (auto added = add_schema(request, json_schema); !added) return tl::unexpected{added.error()};
  spec.params = Json(request).dump(-1, ' ', false, Json::error_handler_t::replace);
  spec.max_tokens = max_tokens;
  spec.id_field = id_field;
  spec.text_field = text_field;
  for (const auto& field : keep)
    if (std::find(spec.keep.begin(), spec.keep.end(), field) == spec.keep.end())
      spec.keep.push_back(field);
  spec.assume_url = assume_url;
  spec.delimiter = delimiter_of(delimiter);
  spec.skip_blank = skip_blank;
  spec.no_field_needed = no_field_needed;
  spec.order = order;
  for (const auto& url : endpoints) {
    EndpointSpec endpoint;
    endpoint.url = without_trailing_slash(url);
    endpoint.api_key_file = api_key_file;
    endpoint.api_key_env = api_key_env.value_or("");
    if (!api_key_env && api_key_file.empty() && !is_private_host(endpoint.url))
      endpoint.api_key_env = "OPENAI_API_KEY";
    spec.endpoints.push_back(std::move(endpoint));
  }
  spec.requests_per_minute = requests_per_minute;
  spec.tokens_per_minute = tokens_per_minute;
  spec.max_in_flight = max_in_flight;
  spec.budget_usd = usd_of(budget_usd);
  spec.timeout_ms = to_ms(timeout_s);
  spec.connect_timeout_ms = to_ms(connect_timeout_s);
  spec.retries = retries;
  spec.patience_s = patience_s;
  spec.batch_size = batch_size;
  spec.line_bytes_max = line_bytes_max;
  spec.limit = limit;
  spec.fallback_model = fallback_model;
  spec.strict = strict;
  if (auto set = set_max_failures(spec, max_failures); !set) return tl::unexpected{set.error()};
  if (auto set = set_hedge(spec, hedge); !set) return tl::unexpected{set.error()};
  return spec;
}

} // namespace gristmill::cli
