#include "coordinator/http/api/appends.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/job_json.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/json_tree.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

struct Append {
  std::string key; // empty: its hash is the key
  std::vector<InputSpec> inputs;
};

Result<std::string> key_of(const Json& said) {
  const std::string key = said.is_string() ? said.get<std::string>() : "";
  if (!key.empty() && key.size() <= append_key_bytes_max && key.find('\0') == key.npos) return key;
  return fail(ErrorCode::usage,
              fmt::format("key: expected a text of 1 to {} bytes, got {}", append_key_bytes_max,
                          said.is_string() ? fmt::format("{} bytes", key.size())
                                           : std::string{said.type_name()}));
}

Result<std::vector<InputSpec>> inputs_of(const Json& said) {
  if (!said.is_array() || said.empty())
    return fail(ErrorCode::usage, "inputs: expected a list of at least one {\"path\", \"name\"}");
  std::vector<InputSpec> inputs;
  for (const Json& one : said) {
    auto input = input_spec_from_json(one.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (!input) return fail(ErrorCode::usage, "inputs: " + input.error().message);
    if (input->path.empty() || input->name.empty())
      return fail(ErrorCode::usage,
                  fmt::format("inputs: expected path and name of each, got {} without them",
                              inputs.size() + 1));
    inputs.push_back(std::move(*input));
  }
  return inputs;
}

Result<Append> append_of(const std::string& body) {
  const auto json = json::tree(body);
  if (!json || !json->is_object() || !json->contains("inputs"))
    return fail(ErrorCode::usage, "expected {\"key\": KEY, \"inputs\": […]}, of which the key may "
                                  "be left out" +
                                      (json ? "" : ": " + json.error().message));
  Append append;
  for (const auto& [name, value] : json->items()) {
    if (name == "key") {
      auto key = key_of(value);
      GRISTMILL_TRY(key);
      append.key = std::move(*key);
    } else if (name == "inputs") {
      auto inputs = inputs_of(value);
      GRISTMILL_TRY(inputs);
      append.inputs = std::move(*inputs);
    } else {
      return fail(ErrorCode::usage, fmt::format("expected the members key and inputs, got \"{}\"",
                                                json::printable(name, 100)));
    }
  }
  return append;
}

// JobInputs may still call back when the resource is gone: so nothing of it holds the resource.

void ask_to_append(const AskNode& ask, JobInputs& job_inputs, wiring::AppendInputs append,
                   const Respond& respond) {
  const Json about{{"job", to_string(append.job)}, {"key", append.key}};
  auto inputs = append.inputs;
  ask(std::move(append),
      [&job_inputs, respond, about, inputs = std::move(inputs)](const wiring::Answer& answer) {
        if (answer.error)
          return job_inputs.refused(
              inputs, [respond, error = *answer.error] { respond(error_response(error)); });
        const wiring::Appended appended = answer.appended.value();
        Json json = about;
        json["number"] = appended.number;
        json["repeated"] = appended.repeated;
        json["inputs"] = inputs.size();
        if (!appended.repeated) return respond(json_response(200, json));
        job_inputs.refused(inputs, [respond, json] { respond(json_response(200, json)); });
      });
}

std::unique_ptr<HttpTask> appending(AskNode ask, JobInputs& job_inputs, JobId job) {
  return gathered(
      control_bytes_max,
      [ask = std::move(ask), &job_inputs, job](const std::string& body, const Respond& respond) {
        auto append = append_of(body);
        if (!append) return respond(error_response(append.error()));
        const auto admitted = [ask, &job_inputs, job, key = std::move(append->key),
                               respond](Result<Addition> more) {
          if (!more) return respond(error_response(more.error()));
          ask_to_append(ask, job_inputs,
                        {job, key.empty() ? more->hash : key, more->hash, more->bytes,
                         std::move(more->inputs)},
                        respond);
        };
        job_inputs.admit_more(std::move(append->inputs), admitted);
      },
      disk_work_time_max);
}

HttpResponse show_job(const wiring::Answer& answer) {
  return json_response(200, json_of(answer.jobs.at(0)));
}

} // namespace

std::vector<Route> AppendsResource::routes() {
  return {
      // {"key", "inputs": [{"path", "name"}…]} -> {job, key, number, repeated, inputs}
      {"POST", "/api/v1/jobs/{job}/appends",
       of_job([this](const HttpRequest&, JobId job) { return appending(ask_, inputs_, job); })},
      // -> the job
      {"POST", "/api/v1/jobs/{job}/close", of_job([this](const HttpRequest&, JobId job) {
         return asking(ask_, wiring::CloseInputs{job}, show_job);
       })},
  };
}

} // namespace gristmill::coordinator
