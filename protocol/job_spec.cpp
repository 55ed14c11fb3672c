#include "protocol/job_spec.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/json_text.hpp"
#include "protocol/openai/json_tree.hpp"

#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace gristmill {
namespace {

using Json = nlohmann::ordered_json;

template <class Spec, class Plain>
concept MaybeConst = std::is_same_v<std::remove_const_t<Spec>, Plain>;

// Each struct's members once: writer and reader go through the same list.
template <MaybeConst<InputSpec> Spec, class Visit> void visit_members(Spec& spec, Visit&& visit) {
  visit("path", spec.path);
  visit("name", spec.name);
  visit("bytes", spec.bytes);
  visit("modified_ns", spec.modified_ns);
  visit("files", spec.files);
  visit("digest", spec.digest);
  visit("offset", spec.offset);
}

template <MaybeConst<EndpointSpec> Spec, class Visit>
void visit_members(Spec& spec, Visit&& visit) {
  visit("url", spec.url);
  visit("api_key_env", spec.api_key_env);
  visit("api_key_file", spec.api_key_file);
  visit("requests_per_minute", spec.requests_per_minute);
  visit("tokens_per_minute", spec.tokens_per_minute);
  visit("requests_per_day", spec.requests_per_day);
  visit("tokens_per_day", spec.tokens_per_day);
  visit("max_in_flight", spec.max_in_flight);
  visit("strict_tokens", spec.strict_tokens);
  visit("token_counting", spec.token_counting);
}

template <MaybeConst<JobSpec> Spec, class Visit> void visit_members(Spec& spec, Visit&& visit) {
  visit("inputs", spec.inputs);
  visit("task", spec.task);
  visit("prompt", spec.prompt);
  visit("system", spec.system);
  visit("model", spec.model);
  visit("params", spec.params);
  visit("max_tokens", spec.max_tokens);
  visit("id_field", spec.id_field);
  visit("text_field", spec.text_field);
  visit("order", spec.order);
  visit("labels", spec.labels);
  visit("keep", spec.keep);
  visit("assume_url", spec.assume_url);
  visit("delimiter", spec.delimiter);
  visit("skip_blank", spec.skip_blank);
  visit("default_model", spec.default_model);
  visit("endpoints", spec.endpoints);
  visit("requests_per_minute", spec.requests_per_minute);
  visit("tokens_per_minute", spec.tokens_per_minute);
  visit("max_in_flight", spec.max_in_flight);
  visit("budget_usd", spec.budget_usd);
  visit("timeout_ms", spec.timeout_ms);
  visit("connect_timeout_ms", spec.connect_timeout_ms);
  visit("retries", spec.retries);
  visit("patience_s", spec.patience_s);
  visit("batch_size", spec.batch_size);
  visit("line_bytes_max", spec.line_bytes_max);
  visit("limit", spec.limit);
  visit("max_failures", spec.max_failures);
  visit("max_failure_percent", spec.max_failure_percent);
  visit("strict", spec.strict);
  visit("no_field_needed", spec.no_field_needed);
  visit("hedge_percent", spec.hedge_percent);
  visit("fallback_model", spec.fallback_model);
  visit("weight", spec.weight);
  visit("priority", spec.priority);
  visit("deadline", spec.deadline);
  visit("output", spec.output);
}

template <class T> Json written(const std::vector<T>& values);

template <class T> Json written(const T& value) {
  if constexpr (std::is_integral_v<T> || std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (std::is_same_v<T, Usd>) {
    return static_cast<double>(value.nano) / static_cast<double>(nano_per_usd);
  } else {
    Json object = Json::object();
    visit_members(
        value, [&object](const char* key, const auto& member) { object[key] = written(member); });
    // Left out where it says nothing, because nodes before it know no such member.
    if constexpr (std::is_same_v<T, InputSpec>)
      if (value.offset == 0) object.erase("offset");
    if constexpr (std::is_same_v<T, JobSpec>) {
      if (!value.budget_usd) object.erase("budget_usd");
      if (value.hedge_percent == 0) object.erase("hedge_percent");
      if (value.max_tokens == 0) object.erase("max_tokens");
      if (value.assume_url.empty()) object.erase("assume_url");
      if (value.delimiter.empty()) object.erase("delimiter");
      if (!value.skip_blank) object.erase("skip_blank");
      if (!value.no_field_needed) object.erase("no_field_needed");
      if (value.weight == JobSpec{}.weight) object.erase("weight");
      if (value.priority == JobSpec{}.priority) object.erase("priority");
      if (value.deadline == 0) object.erase("deadline");
      if (value.patience_s == 0) object.erase("patience_s");
    }
    return object;
  }
}

template <class T> Json written(const std::vector<T>& values) {
  Json array = Json::array();
  for (const T& value : values) array.push_back(written(value));
  return array;
}

// Reads one document; the first fault stops it and says where in the document it stands.
class Reader {
public:
  explicit Reader(std::string_view document) : document_{document} {}

  std::string fault;

  void read(const Json& json, const std::string& where, std::string& into) {
    // Parameters may be given as the object that they are; they are kept as the user spelled them.
    if (where == "params" && json.is_object()) {
      into = openai::json::find(openai::json::root(document_), "params").text;
    } else if (json.is_string()) {
      into = json.get<std::string>();
    } else {
      expected(where, "a string", json);
    }
  }

  void read(const Json& json, const std::string& where, bool& into) {
    if (!json.is_boolean()) return expected(where, "true or false", json);
    into = json.get<bool>();
  }

  template <class Integer>
  void read(const Json& json, const std::string& where,
            Integer& into) requires(std::is_unsigned_v<Integer> && !std::is_same_v<Integer, bool>) {
    const bool natural = json.is_number_unsigned();
    const auto number = natural ? json.get<std::uint64_t>() : 0;
    if (!natural || number > std::numeric_limits<Integer>::max()) {
      expected(where, fmt::format("an integer from 0 to {}", std::numeric_limits<Integer>::max()),
               json);
    } else {
      into = static_cast<Integer>(number);
    }
  }

  void read(const Json& json, const std::string& where, Usd& into) {
    const double usd = json.is_number() ? json.get<double>() : -1;
    if (!(usd >= 0 && usd <= static_cast<double>(usd_max.nano / nano_per_usd)))
      return expected(where, "US$ from 0 to 1,000,000", json);
    into.nano = static_cast<std::uint64_t>(std::llround(usd * static_cast<double>(nano_per_usd)));
  }

  template <class T> void read(const Json& json, const std::string& where, std::vector<T>& into) {
    if (!json.is_array()) return expected(where, "an array", json);
    into.clear();
    for (const Json& element : json) {
      const std::string at = fmt::format("{}[{}]", where, into.size());
      if (fault.empty()) read(element, at, into.emplace_back());
    }
  }

  template <class Spec>
  void read(const Json& json, const std::string& where, Spec& into) requires std::is_class_v<Spec> {
    if (!json.is_object()) return expected(where.empty() ? "job" : where, "an object", json);
    const std::string prefix = where.empty() ? "" : where + ".";
    for (const auto& entry : json.items()) {
      const std::string& key = entry.key();
      const Json& value = entry.value();
      bool known = false;
      visit_members(into, [&](const char* name, auto& member) {
        if (key != name) return;
        known = true;
        if (fault.empty()) read(value, prefix + name, member);
      });
      if (!known && fault.empty())
        fault = fmt::format("expected only members of a job, got \"{}{}\"; remove or correct it",
                            prefix, openai::json::printable(key, limits::name_bytes_max));
    }
  }

private:
  void expected(const std::string& where, const std::string& what, const Json& got) {
    const std::string shown = got.dump(-1, ' ', true, Json::error_handler_t::replace);
    fault = fmt::format("expected {} to be {}, got {}", where, what,
                        openai::json::printable(shown, 60));
  }

  std::string_view document_;
};

} // namespace

std::string to_json(const JobSpec& spec) {
  return written(spec).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_json(const InputSpec& input) {
  return written(input).dump(-1, ' ', false, Json::error_handler_t::replace);
}

namespace {

template <class Spec> Result<Spec> from_json(std::string_view text, const char* what) {
  if (text.size() > limits::spec_bytes_max)
    return fail(ErrorCode::usage, fmt::format("expected {} of at most {} bytes, got {}", what,
                                              limits::spec_bytes_max, text.size()));
  const auto json = openai::json::tree(text);
  if (!json)
    return fail(ErrorCode::usage,
                fmt::format("expected {} in JSON: {}", what, json.error().message));
  Spec spec;
  Reader reader{text};
  reader.read(*json, "", spec);
  if (!reader.fault.empty()) return fail(ErrorCode::usage, std::move(reader.fault));
  return spec;
}

} // namespace

Result<JobSpec> job_spec_from_json(std::string_view text) {
  return from_json<JobSpec>(text, "a job");
}

Result<InputSpec> input_spec_from_json(std::string_view text) {
  return from_json<InputSpec>(text, "an input");
}

std::string identity_difference(const JobSpec& before, const JobSpec& now) {
  if (before.inputs != now.inputs) return "INPUT";
  if (before.task != now.task) return "--task";
  if (before.prompt != now.prompt) return "--prompt";
  if (before.system != now.system) return "--system";
  if (before.model != now.model) return "--model";
  if (before.params != now.params) return "--param";
  if (before.max_tokens != now.max_tokens) return "--max-tokens";
  if (before.id_field != now.id_field) return "--id-field";
  if (before.text_field != now.text_field) return "--text-field";
  if (before.order != now.order) return "--order";
  if (before.labels != now.labels) return "--labels";
  if (before.keep != now.keep) return "--keep";
  // Without one no line was called that needs one.
  if (before.assume_url != now.assume_url && !before.assume_url.empty()) return "--assume-url";
  if (before.delimiter != now.delimiter) return "--delimiter";
  if (before.skip_blank != now.skip_blank) return "--skip-blank";
  return {};
}

} // namespace gristmill
