#include "cli/run/models.hpp"
#include "protocol/rules/served.hpp"

#include "actors/intake/intake.hpp"
#include "cli/cluster/http_client.hpp"
#include "cli/run/keys.hpp"
#include "coordinator/inputs/file_source.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"
#include "worker/http/api_keys.hpp"
#include "worker/http/key_redaction.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <thread>

namespace gristmill::cli {
namespace {

constexpr std::string_view name_one = "name the model with -m";
constexpr std::size_t shown_max = 10;
constexpr std::chrono::seconds asked_every{1};

Result<std::string> key_of(const EndpointSpec& endpoint) {
  GRISTMILL_TRY(check_key(endpoint));
  worker::ApiKeys keys;
  const auto line = keys.authorization(endpoint.api_key_env, endpoint.api_key_file);
  GRISTMILL_TRY(line);
  return *line == nullptr ? std::string{} : std::string{worker::ApiKeys::key_in(**line)};
}

// As a call's answer is judged: what it says, without the key, and whether it may say it later.
openai::Reply judged(const HttpAnswer& answer, const std::string& key) {
  worker::CallEnded ended;
  ended.end = worker::CallEnd::answered;
  ended.http_status = static_cast<std::uint16_t>(answer.status);
  ended.body = answer.body;
  worker::redact_key(ended, key);
  return openai::read_reply({}, ended.http_status, {}, ended.body, 0);
}

// unavailable: the endpoint is away, loading or full.
Result<std::vector<std::string>> models_of(const EndpointSpec& endpoint,
                                           const std::string& ca_file) {
  const auto key = key_of(endpoint);
  GRISTMILL_TRY(key);
  const std::string where = endpoint.url + "/models";
  const auto failed = [&](std::string_view got, ErrorCode code = ErrorCode::usage) {
    return fail(code, fmt::format("expected the models that are served from {}, got {}; {}", where,
                                  got, name_one));
  };
  HttpClient client{endpoint.url, *key, {"endpoint", "--endpoint"}, ca_file};
  HttpCall call;
  call.path = "/models";
  const auto answer = client.call(call);
  if (!answer)
    return fail(answer.error().code, fmt::format("{}; or {}", answer.error().message, name_one));
  if (answer->status == 401 || answer->status == 403)
    return failed(fmt::format("status {}: it does not take the key (--api-key-env, --api-key-file)",
                              answer->status));
  const openai::Reply reply = judged(*answer, *key);
  const OutcomeClassInfo& about = info(reply.cls);
  if (answer->status != 200 || about.is_endpoints())
    return failed(fmt::format("status {}: {}", answer->status, reply.message),
                  about.toll == Toll::item ? ErrorCode::usage : ErrorCode::unavailable);
  auto models = models_in(answer->body);
  if (!models) return failed(models.error().message);
  return models;
}

} // namespace

Result<std::vector<std::string>> models_in(std::string_view answer) {
  if (!json::check(answer)) return fail(ErrorCode::bad_input, "something that is not JSON");
  const json::Value data = json::find(json::root(answer), "data");
  if (!data.is(json::Kind::array))
    return fail(ErrorCode::bad_input, "JSON without a list of models in \"data\"");
  std::vector<std::string> models;
  json::Elements entries{data};
  while (const auto entry = entries.next())
    if (std::string id = json::text_of(json::find(*entry, "id")); !id.empty())
      models.push_back(std::move(id));
  return models;
}

Result<std::string> only_model(const std::vector<std::string>& models, std::string_view where) {
  std::vector<std::string> each = models;
  std::sort(each.begin(), each.end());
  each.erase(std::unique(each.begin(), each.end()), each.end());
  if (each.size() == 1) return each.front();
  if (each.empty())
    return fail(ErrorCode::usage,
                fmt::format("expected a model served at {}, got none; {}", where, name_one));
  std::string shown;
  for (std::size_t i = 0; i < std::min(each.size(), shown_max); ++i)
    shown += (i == 0 ? "" : ", ") + json::printable(each[i], 100);
  if (each.size() > shown_max) shown += fmt::format(" and {} more", each.size() - shown_max);
  return fail(ErrorCode::usage, fmt::format("expected one model at {}, got {}: {}; {}", where,
                                            each.size(), shown, name_one));
}

Result<bool> may_need_model(const JobSpec& spec) {
  if (!spec.shape.models.empty()) return false;
  if (!json::text_of(json::find(json::root(spec.shape.params), "model")).empty()) return false;
  JobSpec one = spec;
  one.limits.items = 1;
  for (const InputSpec& input : spec.inputs) {
    one.inputs = {input};
    auto source = coordinator::FileSource::open(one.inputs, std::filesystem::temp_directory_path());
    GRISTMILL_TRY(source);
    intake::Intake intake{one, **source, {}};
    const auto item = intake.next();
    GRISTMILL_TRY(item);
    if (!*item) continue; // an empty file
    const intake::Item& first = **item;
    if (first.place.kind != ItemKind::batch_line) return true;
    const auto renders = [&](std::string_view default_model) {
      return openai::render(one, first.place.kind, first.raw, default_model).has_value();
    };
    if (first.bad.empty() && !renders("") && renders("any")) return true;
  }
  return false;
}

Result<std::string> first_named_model(const JobSpec& spec) {
  // Only documents are divided, and they name none.
  if (spec.shape.chunk_tokens > 0) return std::string{};
  constexpr std::string_view none = "\n"; // no model can have this name
  auto source = coordinator::FileSource::open(spec.inputs, std::filesystem::temp_directory_path());
  GRISTMILL_TRY(source);
  intake::Intake intake{spec, **source, {}};
  for (;;) {
    const auto item = intake.next();
    GRISTMILL_TRY(item);
    if (!*item) return std::string{};
    if (!(*item)->bad.empty()) continue;
    const auto request = openai::render(spec, (*item)->place.kind, (*item)->raw, none);
    if (request) return request->model == none ? std::string{} : request->model;
  }
}

Result<std::string> discovered_model(const JobSpec& spec, const std::string& ca_file) {
  std::vector<std::string> models;
  std::string where;
  std::optional<Error> away;
  for (const EndpointSpec& endpoint : spec.endpoints) {
    auto served = models_of(endpoint, ca_file);
    if (!served) {
      if (served.error().code != ErrorCode::unavailable) return tl::unexpected{served.error()};
      away = served.error();
      continue;
    }
    models.insert(models.end(), served->begin(), served->end());
    where += (where.empty() ? "" : " and ") + endpoint.url;
  }
  if (models.empty() && away) return tl::unexpected{*away};
  return only_model(models, where);
}

Result<std::string> awaited_model(const JobSpec& spec, const std::string& ca_file,
                                  const std::function<void(const std::string&)>& tell) {
  using Clock = std::chrono::steady_clock;
  const auto begun = Clock::now();
  for (std::string told;;) {
    auto model = discovered_model(spec, ca_file);
    if (model || model.error().code != ErrorCode::unavailable) return model;
    if (spec.policy.patience_s != 0 &&
        Clock::now() - begun >= std::chrono::seconds{spec.policy.patience_s})
      return model;
    if (told != model.error().message) tell(told = model.error().message);
    std::this_thread::sleep_for(asked_every);
  }
}

} // namespace gristmill::cli
