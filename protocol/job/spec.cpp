#include "protocol/job/spec.hpp"

#include "protocol/job/options.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/json_tree.hpp"

#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <unordered_map>

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
  visit("grows", spec.grows);
}

template <MaybeConst<EndpointSpec> Spec, class Visit>
void visit_members(Spec& spec, Visit&& visit) {
  visit("url", spec.url);
  visit("api_key_env", spec.api_key_env);
  visit("api_key_file", spec.api_key_file);
  visit("requests_per_minute", spec.limits.requests_per_minute);
  visit("tokens_per_minute", spec.limits.tokens_per_minute);
  visit("requests_per_day", spec.limits.requests_per_day);
  visit("tokens_per_day", spec.limits.tokens_per_day);
  visit("max_in_flight", spec.limits.max_in_flight);
  visit("strict_tokens", spec.limits.strict_tokens);
  visit("token_counting", spec.limits.token_counting);
}

template <MaybeConst<JobSpec> Spec, class Visit> void visit_members(Spec& spec, Visit&& visit) {
  for (const JobOption& option : job_options())
    std::visit([&](auto* member) { visit(option.name, *member); },
               option.member(const_cast<JobSpec&>(spec)));
}

// The member of that name, if there is one.
template <class Spec, class Visit>
bool visit_member(Spec& spec, std::string_view key, Visit&& visit) {
  bool known = false;
  visit_members(spec, [&](std::string_view name, auto& member) {
    if (key != name) return;
    known = true;
    visit(member);
  });
  return known;
}

template <class Visit> bool visit_member(JobSpec& spec, std::string_view key, Visit&& visit) {
  static const auto options = [] {
    std::unordered_map<std::string_view, const JobOption*> by_name;
    for (const JobOption& option : job_options()) by_name.emplace(option.name, &option);
    return by_name;
  }();
  const auto option = options.find(key);
  if (option == options.end()) return false;
  std::visit([&](auto* member) { visit(*member); }, option->second->member(spec));
  return true;
}

template <class T> Json written(const std::vector<T>& values);

Json written(const ModelNames& models) {
  if (models.size() <= 1) return models.first();
  return written(static_cast<const std::vector<std::string>&>(models));
}

template <class T> Json written(const T& value) {
  if constexpr (std::is_integral_v<T> || std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (NamedEnum<T>) {
    return name_of(value);
  } else if constexpr (std::is_same_v<T, Usd>) {
    return value.usd();
  } else if constexpr (std::is_same_v<T, Percentage>) {
    return value.percent();
  } else {
    Json object = Json::object();
    visit_members(value, [&object](std::string_view key, const auto& member) {
      object[std::string{key}] = written(member);
    });
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
  Reader(std::string_view document, Unknown unknown) : document_{document}, unknown_{unknown} {}

  std::string fault;

  void read(const Json& json, const std::string& where, std::string& into) {
    // Parameters may be given as the object that they are; they are kept as the user spelled them.
    if (where == "params" && json.is_object()) {
      into = json::find(json::root(document_), "params").text;
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

  template <NamedEnum E> void read(const Json& json, const std::string& where, E& into) {
    const auto value = named<E>(json.is_string() ? json.get<std::string>() : std::string{});
    if (!value) return expected(where, list_of_names<E>(), json);
    into = *value;
  }

  void read(const Json& json, const std::string& where, Usd& into) {
    const double usd = json.is_number() ? json.get<double>() : -1;
    if (!(usd >= 0 && usd <= usd_max.usd()))
      return expected(where, "US$ from 0 to 1,000,000", json);
    into = Usd::from_usd(usd);
  }

  void read(const Json& json, const std::string& where, Percentage& into) {
    const auto percentage = Percentage::of(json.is_number() ? json.get<double>() : 0);
    if (!percentage) return expected(where, percentage_words, json);
    into = *percentage;
  }

  void read(const Json& json, const std::string& where, ModelNames& into) {
    if (json.is_string()) {
      into = ModelNames::of(json.get<std::string>());
      return;
    }
    if (!json.is_array()) return expected(where, "a string or an array of them", json);
    read(json, where, static_cast<std::vector<std::string>&>(into));
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
      const bool known = visit_member(into, key, [&](auto& member) {
        if (fault.empty()) read(value, prefix + key, member);
      });
      if (!known && unknown_ == Unknown::refused && fault.empty())
        fault = fmt::format("expected only members of a job, got \"{}{}\"; remove or correct it",
                            prefix, json::printable(key, limits::name_bytes_max));
    }
  }

private:
  void expected(const std::string& where, const std::string& what, const Json& got) {
    const std::string shown = got.dump(-1, ' ', true, Json::error_handler_t::replace);
    fault = fmt::format("expected {} to be {}, got {}", where, what, json::printable(shown, 60));
  }

  std::string_view document_;
  Unknown unknown_;
};

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <class Spec>
Result<Spec> from_json(std::string_view text, const char* what, Unknown unknown) {
  if (text.size() > limits::spec_bytes_max)
    return fail(ErrorCode::usage, fmt::format("expected {} of at most {} bytes, got {}", what,
                                              limits::spec_bytes_max, text.size()));
  const auto json = json::tree(text);
  if (!json)
    return fail(ErrorCode::usage,
                fmt::format("expected {} in JSON: {}", what, json.error().message));
  Spec spec;
  Reader reader{text, unknown};
  reader.read(*json, "", spec);
  if (!reader.fault.empty()) return fail(ErrorCode::usage, std::move(reader.fault));
  return spec;
}

} // namespace

std::string to_json(const JobSpec& spec) {
  return text_of(written(spec));
}

std::string json_for_workers(const JobSpec& spec) {
  Json object = Json::object();
  for (const JobOption& option : job_options())
    if (option.for_workers)
      with_member(option, spec,
                  [&](const auto& member) { object[std::string{option.name}] = written(member); });
  return text_of(object);
}

std::string to_json(const InputSpec& input) {
  return text_of(written(input));
}

Result<JobSpec> job_spec_from_json(std::string_view text, Unknown unknown) {
  return from_json<JobSpec>(text, "a job", unknown);
}

Result<InputSpec> input_spec_from_json(std::string_view text) {
  return from_json<InputSpec>(text, "an input", Unknown::refused);
}

std::vector<InputSpec> files_of(const JobSpec& spec) {
  std::vector<InputSpec> files = spec.inputs;
  if (!spec.tokenizer_file.empty()) files.push_back({spec.tokenizer_file, "tokenizer"});
  return files;
}

std::string identity_difference(const JobSpec& before, const JobSpec& now) {
  for (const JobOption& option : job_options()) {
    if (option.identity == Identity::free) continue;
    const OptionMember other = option.member(const_cast<JobSpec&>(now));
    bool same = false;
    with_member(option, before, [&]<class T>(const T& member) {
      const bool unsaid = option.identity == Identity::fixed_once_said && member == T{};
      same = unsaid || member == *std::get<T*>(other);
    });
    if (!same) return std::string{option.long_flag()};
  }
  return {};
}

} // namespace gristmill
