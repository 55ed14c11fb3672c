// The routes by which results leave.
#include "coordinator/http/api.hpp"
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

} // namespace

HttpApi::Task HttpApi::results(const HttpRequest&, JobId job) {
  return sending(job, "", "application/x-ndjson");
}

HttpApi::Task HttpApi::summary(const HttpRequest&, JobId job) {
  return sending(job, ".summary.json", "application/json");
}

// Whoever answers is the node, which must not wait for this disk: the readers look at it. A result
// that was moved away is made again.
HttpApi::Task HttpApi::sending(JobId job, const char* suffix, const char* type) {
  const auto send = [this, suffix, type](const wiring::Answer& answer, const Respond& respond) {
    if (answer.error) return respond(error_response(*answer.error));
    const wiring::JobView& found = answer.jobs.at(0);
    if (auto refusal = why_no_result(found)) return respond(std::move(*refusal));
    file_readers_.order([this, path = options_.output_path(found) + suffix, type, respond] {
      respond(file_at(path, type));
    });
  };
  const auto look = [this, job, suffix, send](const wiring::Answer& answer,
                                              const Respond& respond) {
    if (answer.error) return send(answer, respond);
    file_readers_.order([this, job, suffix, send, answer, respond] {
      if (!is_gone(answer.jobs.at(0), suffix)) return send(answer, respond);
      options_.ask(wiring::MergeAgain{job},
                   [send, respond](const wiring::Answer& merged) { send(merged, respond); });
    });
  };
  return gathered(
      control_bytes_max,
      [this, job, look](std::string, const Respond& respond) {
        options_.ask(wiring::ShowJob{job},
                     [look, respond](const wiring::Answer& answer) { look(answer, respond); });
      },
      disk_work_time_max);
}

bool HttpApi::is_gone(const wiring::JobView& job, const char* suffix) const {
  if (job.state != JobState::finished && job.state != JobState::cancelled) return false;
  const std::string path = options_.output_path(job) + suffix;
  return ::access(path.c_str(), F_OK) != 0 && errno == ENOENT;
}

HttpResponse HttpApi::file_at(const std::string& path, const char* type) {
  auto file = FilePieces::open(path, file_readers_);
  if (!file) return error_response(file.error());
  HttpResponse response;
  response.content_type = type;
  response.stream = std::move(*file);
  return response;
}

} // namespace gristmill::coordinator
