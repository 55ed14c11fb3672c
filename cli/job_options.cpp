#include "cli/job_options.hpp"

#include "actors/kit/program/config_options.hpp"
#include "cli/text_file.hpp"
#include "coordinator/inputs/tokenizers.hpp"
#include "protocol/job/endpoint_faults.hpp"
#include "protocol/job/options.hpp"
#include "protocol/job/percentage.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/keys/private_host.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/json_tree.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace gristmill::cli {
namespace {

using Json = nlohmann::ordered_json;
// Sorted, because two commands that give the same parameters are the same job.
using Params = std::map<std::string, Json>;

// K=V: V as JSON if it is JSON, else as a string.
Result<> add_param(Params& params, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(
        ErrorCode::usage,
        fmt::format("--param: expected KEY=VALUE, got \"{}\"; for instance --param top_p=0.9",
                    text));
  if (!json::is_utf8(text))
    return fail(ErrorCode::usage,
                fmt::format("--param: expected UTF-8, got {}", json::printable(text, 100)));
  const std::string value = text.substr(equals + 1);
  auto parsed = json::tree(value);
  if (!parsed && Json::accept(value)) // JSON all the same: deeper than any request may be
    return fail(ErrorCode::usage, "--param: " + parsed.error().message);
  params[text.substr(0, equals)] = parsed ? std::move(*parsed) : Json(value);
  return {};
}

// N, P% or off.
std::string set_failures(JobPolicy& policy, std::string_view text) {
  policy.max_failures = policy.max_failure_percent = 0;
  if (text == "off") return {};
  std::uint64_t number = 0;
  const bool percent = text.ends_with('%');
  const char* end = text.data() + text.size() - percent;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || number == 0 || (percent && number > 100))
    return "a number from 1, a percentage from 1% to 100%, or off";
  if (percent)
    policy.max_failure_percent = static_cast<std::uint32_t>(number);
  else
    policy.max_failures = number;
  return {};
}

std::string failures_of(const JobPolicy& policy) {
  if (policy.max_failures != 0) return std::to_string(policy.max_failures);
  return policy.max_failure_percent == 0 ? "off" : fmt::format("{}%", policy.max_failure_percent);
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
  GRISTMILL_TRY(text);
  auto schema = json::tree(*text);
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

// FILE, or FILE:NAME; a file whose own name has a colon is meant as it stands.
Result<> set_tokenizer(JobSpec& spec) {
  std::string path = std::move(spec.shape.tokenizer), encoding;
  std::error_code error;
  const auto colon = path.rfind(':');
  const bool named = colon != path.npos && path.find('/', colon) == path.npos &&
                     !std::filesystem::exists(path, error);
  if (named) {
    encoding = path.substr(colon + 1);
    path.resize(colon);
  }
  if (path.empty() || (named && encoding.empty()))
    return fail(ErrorCode::usage,
                fmt::format("--tokenizer: expected FILE.tiktoken or FILE.tiktoken:NAME, got \"{}\"",
                            json::printable(path + (named ? ":" + encoding : ""), 100)));
  path = std::filesystem::absolute(path).string();
  const auto tokenizer = coordinator::read_tokenizer({}, path, encoding);
  if (!tokenizer) return fail(ErrorCode::usage, "--tokenizer " + tokenizer.error().message);
  spec.shape.tokenizer = to_string(coordinator::id_of(**tokenizer));
  spec.tokenizer_file = std::move(path);
  return {};
}

// Often a variable that is not set, and every document would be sent and paid as it stands.
constexpr const char* empty_template =
    "a template with some text (leave it out to send the documents as they are)";
constexpr std::size_t shown_bytes = 100;
bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// What a person writes becomes the member's value. "" if it did, else what was expected.

template <class Number>
std::string take(const std::string& text, const JobOption& option,
                 Number& into) requires std::is_unsigned_v<Number> {
  std::uint64_t number = 0;
  const std::string_view digits = option.form == OptionForm::percent && text.ends_with('%')
                                      ? std::string_view{text}.substr(0, text.size() - 1)
                                      : std::string_view{text};
  const std::uint64_t most =
      std::min<std::uint64_t>(option.most, std::numeric_limits<Number>::max());
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc{} && stop == digits.data() + digits.size();
  if (whole && number >= option.least && number <= most) {
    into = static_cast<Number>(number);
    return {};
  }
  if (option.form == OptionForm::percent)
    return fmt::format("a percentage from {}% to {}%", option.least, most);
  return option.form == OptionForm::natural ? "a natural number"
                                            : fmt::format("{} to {}", option.least, most);
}

std::string take_seconds(const std::string& text, const JobOption& option, std::uint32_t& into) {
  const double least = static_cast<double>(option.least) / 1e3,
               most = static_cast<double>(option.most) / 1e3;
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(seconds >= least && seconds <= most))
    return fmt::format("{} to {}", least, most);
  into = static_cast<std::uint32_t>(seconds * 1e3);
  return {};
}

std::string take(const std::string& text, const JobOption&, Usd& into) {
  char* end = nullptr;
  const double usd = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(usd >= 1e-9 && usd <= 1e6))
    return "US$ above 0, at most 1000000";
  into = Usd::from_usd(usd);
  return {};
}

std::string take(const std::string& text, const JobOption&, Percentage& into) {
  const std::string digits = text.ends_with('%') ? text.substr(0, text.size() - 1) : text;
  char* end = nullptr;
  const double percent = std::strtod(digits.c_str(), &end);
  const auto percentage = digits.empty() || *end != '\0' ? std::nullopt : Percentage::of(percent);
  if (!percentage) return percentage_words;
  into = *percentage;
  return {};
}

template <NamedEnum E> std::string take(const std::string& text, const JobOption&, E& into) {
  const auto value = named<E>(text);
  if (!value) return list_of_names<E>();
  into = *value;
  return {};
}

std::string take(const std::string& text, const JobOption& option, std::string& into) {
  if (option.form == OptionForm::words && is_blank(text)) return empty_template;
  const bool tab = option.form == OptionForm::separator && (text == "tab" || text == "\\t");
  into = tab ? "\t" : text;
  return {};
}

std::string take(const std::string& text, const JobOption& option, JobSpec& said) {
  if (option.form == OptionForm::failures) return set_failures(said.policy, text);
  return std::visit(
      [&]<class T>(T* member) -> std::string {
        if constexpr (std::is_same_v<T, std::uint32_t>)
          if (option.form == OptionForm::seconds) return take_seconds(text, option, *member);
        if constexpr (requires { take(text, option, *member); })
          return take(text, option, *member);
        else
          return "no such option";
      },
      option.member(said));
}

// What --help shows of it; "" = nothing.
std::string default_of(const JobOption& option, const JobSpec& said) {
  if (option.form == OptionForm::failures) return failures_of(said.policy);
  std::string shown;
  with_member(option, said, [&]<class T>(const T& member) {
    if constexpr (NamedEnum<T>)
      shown = name_of(member);
    else if constexpr (std::is_same_v<T, std::string>)
      shown = member;
    else if constexpr (std::is_unsigned_v<T>)
      shown = option.form == OptionForm::natural ? ""
              : option.form == OptionForm::seconds
                  ? fmt::format("{}", static_cast<double>(member) / 1e3)
                  : fmt::format("{}{}", member, option.form == OptionForm::percent ? "%" : "");
  });
  return shown;
}

std::string type_of(const JobOption& option, const JobSpec& said) {
  std::string type = "TEXT";
  with_member(option, said, [&]<class T>(const T&) {
    if (option.form == OptionForm::seconds || std::is_same_v<T, Usd>)
      type = "FLOAT";
    else if (std::is_same_v<T, Percentage>)
      type = "PERCENT";
    else if (std::is_unsigned_v<T> &&
             (option.form == OptionForm::plain || option.form == OptionForm::natural))
      type = "UINT";
  });
  return type;
}

void add(CLI::App& app, const JobOption& option, JobSpec& said) {
  const std::string flag{option.flag}, help{option.help};
  const OptionMember member = option.member(said);
  if (auto* const* truth = std::get_if<bool*>(&member)) {
    app.add_flag(flag, **truth, help);
  } else if (auto* const* list = std::get_if<std::vector<std::string>*>(&member)) {
    CLI::Option* added = app.add_option(flag, **list, help)->allow_extra_args(false);
    if (option.form != OptionForm::conditions) added->delimiter(',');
  } else if (auto* const* names = std::get_if<ModelNames*>(&member)) {
    app.add_option(flag, static_cast<std::vector<std::string>&>(**names), help)
        ->allow_extra_args(false); // what follows may be an input
  } else {
    const auto check = [&option, &said](const std::string& text) {
      const std::string expected = take(text, option, said);
      return expected.empty()
                 ? expected
                 : fmt::format("expected {}, got {}", expected,
                               text.empty() ? "nothing" : json::printable(text, shown_bytes));
    };
    app.add_option_function<std::string>(
           flag, [](const std::string&) {}, help)
        ->check(CLI::Validator{check, ""})
        ->type_name(type_of(option, said))
        ->default_str(default_of(option, said));
  }
}

} // namespace

void add_budget_option(CLI::App& app, Usd& budget, const std::string& help) {
  app.add_option_function<double>(
         "--budget-usd", [&budget](const double& usd) { budget = Usd::from_usd(usd); }, help)
      ->check(CLI::Range(1e-9, 1e6));
}

void JobOptions::add_to(CLI::App& app, const std::string& endpoint_help, bool submits) {
  // An open job may begin without any, which `submit` looks at itself.
  app.add_option("INPUT", inputs,
                 "files, directories or patterns: OpenAI Batch JSONL, JSONL of objects, CSV or TSV "
                 "with header, text; .gz and .zst of these; - = standard input")
      ->required(!submits);
  app.add_option("--endpoint", endpoints,
                 "OpenAI-compatible base URL, e.g. http://host:8000/v1; repeatable " +
                     endpoint_help)
      ->allow_extra_args(false);
  app.add_option("--api-key-env", api_key_env,
                 "environment variable that holds the key; '' = there is none [OPENAI_API_KEY; "
                 "none for endpoints on this machine and in private networks]");
  app.add_option("--api-key-file", api_key_file, "file that holds the key");
  for (const JobOption& option : job_options())
    if (!option.help.empty() && (submits || !option.submit_only)) add(app, option, said);
  app.add_flag("--skip-blank", said.shape.drop_empty)->group(""); // what --drop-empty was called
  app.add_option("--prompt-file", prompt_file, "file with the prompt template")
      ->excludes(app.get_option("--prompt"));
  app.add_option("--param", params, "KEY=VALUE: a request parameter; repeatable")
      ->allow_extra_args(false);
  app.add_option("--temperature", temperature, "sampling temperature")->check(CLI::Range(0.0, 2.0));
  app.add_option(
      "--json-schema", json_schema,
      "file with the JSON schema that answers must have (response_format of chat calls)");
  add_config_option(app, config);
}

Result<JobSpec> JobOptions::spec() const {
  JobSpec spec = said;
  if (spec.shape.models == ModelNames{""})
    spec.shape.models.clear(); // of a variable that is not set
  if (!spec.shape.tokenizer.empty()) GRISTMILL_TRY(set_tokenizer(spec));
  for (auto& label : spec.shape.labels) label = CLI::detail::trim_copy(label);
  std::vector<std::string> keep;
  for (auto& field : spec.shape.keep)
    if (std::find(keep.begin(), keep.end(), field) == keep.end()) keep.push_back(field);
  spec.shape.keep = std::move(keep);
  if (!prompt_file.empty()) {
    auto text = text_of_file("--prompt-file", prompt_file);
    GRISTMILL_TRY(text);
    if (is_blank(*text))
      return fail(ErrorCode::usage, fmt::format("--prompt-file {}: expected {}, got an empty one",
                                                prompt_file, empty_template));
    spec.shape.prompt = std::move(*text);
  }
  Params request;
  for (const auto& param : params) GRISTMILL_TRY(add_param(request, param));
  if (temperature >= 0) request["temperature"] = temperature;
  if (!json_schema.empty()) GRISTMILL_TRY(add_schema(request, json_schema));
  spec.shape.params = Json(request).dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const auto& url : endpoints) {
    EndpointSpec endpoint;
    endpoint.url = without_trailing_slash(url);
    endpoint.api_key_file = api_key_file;
    endpoint.api_key_env = api_key_env.value_or("");
    if (!api_key_env && api_key_file.empty() && !is_private_host(endpoint.url))
      endpoint.api_key_env = "OPENAI_API_KEY";
    spec.endpoints.push_back(std::move(endpoint));
  }
  return spec;
}

} // namespace gristmill::cli
