#include "coordinator/http/api/results.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/server/file_pieces.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <optional>
#include <unistd.h>

namespace gristmill::coordinator {
namespace {

std::optional<HttpResponse> why_no_result(const wiring::JobView& job) {
  if (!is_over(job.state))
    return http_error(409, "conflict",
                      fmt::format("{} is {}; its result is there when it is finished or cancelled",
                                  to_string(job.id), name_of(job.state)));
  if (job.state == JobState::failed)
    return http_error(
        409, "conflict",
        fmt::format("{} has failed and has no result: {}", to_string(job.id), job.detail));
  return std::nullopt;
}

bool is_gone(const std::string& path) {
  return ::access(path.c_str(), F_OK) != 0 && errno == ENOENT;
}

} // namespace

std::vector<Route> ResultsResource::routes() {
  return {
      // -> the result's lines; 409 until it is there
      {"GET", "/api/v1/jobs/{job}/results", of_job([this](const HttpRequest&, JobId job) {
         return sending(job, {"", "application/x-ndjson"});
       })},
      // -> its summary; the same
      {"GET", "/api/v1/jobs/{job}/summary", of_job([this](const HttpRequest&, JobId job) {
         return sending(job, {".summary.json", "application/json"});
       })},
  };
}

std::unique_ptr<HttpTask> ResultsResource::sending(JobId job, Part part) {
  return gathered(
      control_bytes_max,
      [this, job, part](std::string, const Respond& respond) {
        ask_(wiring::ShowJob{job},
             unless_refused(respond, [this, part, respond](const wiring::Answer& answer) {
               send_or_merge(answer.jobs.at(0), part, respond);
             }));
      },
      disk_work_time_max);
}

// Whoever answers is the node, which must not wait for this disk: the readers look at it. A result
// that was moved away is made again.
void ResultsResource::send_or_merge(const wiring::JobView& job, Part part, const Respond& respond) {
  readers_.order([this, job, part, respond] {
    if (why_no_result(job) || !is_gone(job.output + part.suffix)) return send(job, part, respond);
    ask_(wiring::MergeAgain{job.id},
         unless_refused(respond, [this, part, respond](const wiring::Answer& merged) {
           send(merged.jobs.at(0), part, respond);
         }));
  });
}

void ResultsResource::send(const wiring::JobView& job, Part part, const Respond& respond) {
  if (auto refusal = why_no_result(job)) return respond(std::move(*refusal));
  readers_.order([this, path = job.output + part.suffix, part, respond] {
    auto file = FilePieces::open(path, readers_);
    if (!file) return respond(error_response(file.error()));
    HttpResponse response;
    response.content_type = part.type;
    response.stream = std::move(*file);
    respond(std::move(response));
  });
}

} // namespace gristmill::coordinator
