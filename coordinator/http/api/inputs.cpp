#include "coordinator/http/api/inputs.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/asking.hpp"
#include "coordinator/http/api/upload_task.hpp"

namespace gristmill::coordinator {
namespace {

std::unique_ptr<HttpTask> discarding(JobInputs& job_inputs, std::string id) {
  return gathered(
      control_bytes_max,
      [&job_inputs, id = std::move(id)](std::string, const Respond& respond) {
        job_inputs.discard(id, [id, respond](Result<> discarded) {
          respond(discarded ? json_response(200, {{"id", id}}) : error_response(discarded.error()));
        });
      },
      disk_work_time_max);
}

} // namespace

std::vector<Route> InputsResource::routes() {
  return {
      // ?name=NAME, and the file as the body -> 201 and {id, path, bytes}
      {"POST", "/api/v1/inputs",
       [this](const HttpRequest& head, const Segments&) {
         const auto name = head.query.find("name");
         return std::make_unique<UploadTask>(uploads_, name == head.query.end() ? "" : name->second,
                                             head.content_length);
       },
       "application/octet-stream"},
      // An upload that no job has goes -> {id}
      {"DELETE", "/api/v1/inputs/{input}",
       [this](const HttpRequest&, const Segments& segments) {
         return discarding(job_inputs_, segments.at(0));
       }},
  };
}

} // namespace gristmill::coordinator
