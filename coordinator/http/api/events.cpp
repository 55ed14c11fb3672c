#include "coordinator/http/api/events.hpp"

#include "actors/kit/clock.hpp"
#include "coordinator/http/api/answer.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {

std::vector<Route> EventsResource::routes() {
  return {
      // ?all=true: also of the jobs that were over before -> text/event-stream
      {"GET", "/api/v1/events",
       [this](const HttpRequest& head, const Segments&) { return of_all(head); }},
      // the same of one job, until it is over
      {"GET", "/api/v1/jobs/{job}/events",
       of_job([this](const HttpRequest&, JobId job) { return of_one(job); })},
  };
}

std::unique_ptr<HttpTask> EventsResource::of_all(const HttpRequest& head) {
  const auto all = head.query.find("all");
  if (all != head.query.end() && all->second != "true" && all->second != "false")
    return answered(http_error(400, "usage", "expected all=true or all=false in the query"));
  const bool wanted = all != head.query.end() && all->second == "true";
  return gathered(control_bytes_max, [this, wanted](const std::string&, const Respond& respond) {
    respond(stream({}, wanted));
  });
}

std::unique_ptr<HttpTask> EventsResource::of_one(JobId job) {
  return asking(ask_, wiring::ShowJob{job},
                [this, job](const wiring::Answer&) { return stream(job, true); });
}

HttpResponse EventsResource::stream(JobId job, bool all) {
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.stream = events_.open(job, all ? 0 : wall_seconds());
  if (response.stream) return response;
  return http_error(503, "unavailable",
                    fmt::format("expected at most {} streams of events, got one more: close one",
                                JobEvents::streams_max));
}

} // namespace gristmill::coordinator
