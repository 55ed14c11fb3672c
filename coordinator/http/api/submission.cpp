// The routes by which work comes in: uploads, and jobs that name them.
#include "coordinator/http/api.hpp"
#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/upload_task.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t submission_bytes_max = 1u << 20;

Result<JobSpec> spec_of(const std::string& body) {
  if (auto checked = json::check(body); !checked)
    return fail(ErrorCode::usage, "expected {\"spec\": {…}}: " + checked.error().message);
  // The text itself, because a job keeps its parameters as they were spelled.
  const json::Value found = json::find(json::root(body), "spec");
  if (!found.is(json::Kind::object))
    return fail(ErrorCode::usage, fmt::format("expected {{\"spec\": {{…}}}}, got {} as spec",
                                              json::name_of(found.kind())));
  auto spec = job_spec_from_json(found.text);
  if (!spec) return spec;
  if (!spec->output.empty())
    return fail(ErrorCode::usage, "expected no output: the result stays with the coordinator, "
                                  "fetch it with GET /api/v1/jobs/ID/results");
  return spec;
}

} // namespace

HttpApi::Task HttpApi::upload(const HttpRequest& head, JobId) {
  const auto name = head.query.find("name");
  return std::make_unique<UploadTask>(*uploads_, name == head.query.end() ? "" : name->second,
                                      head.content_length);
}

HttpApi::Task HttpApi::submit(const HttpRequest&, JobId) {
  return gathered(
      submission_bytes_max,
      [this](const std::string& body, const Respond& respond) {
        auto spec = spec_of(body);
        if (!spec) return respond(error_response(spec.error()));
        job_inputs_.admit(std::move(*spec), [this, respond](Result<JobSpec> admitted) {
          if (!admitted) return respond(error_response(admitted.error()));
          ask_for_job(std::move(*admitted), respond);
        });
      },
      disk_work_time_max);
}

void HttpApi::ask_for_job(JobSpec spec, const Respond& respond) {
  auto inputs = spec.inputs;
  options_.ask(wiring::SubmitJob{std::move(spec)},
               [this, respond, inputs = std::move(inputs)](const wiring::Answer& answer) {
                 if (!answer.error) return respond(show(answer, 201));
                 job_inputs_.refused(inputs);
                 respond(error_response(*answer.error));
               });
}

} // namespace gristmill::coordinator
