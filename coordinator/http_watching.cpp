// GET /metrics and the streams of events: what goes on, for whoever watches from outside.
#include "coordinator/http_api.hpp"

#include "actors/kit/clock.hpp"
#include "coordinator/http_answer.hpp"
#include "coordinator/metrics.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {

// Asked one after the other: a scrape need not be of one instant.
HttpApi::Task HttpApi::metrics(const HttpRequest&, JobId) {
  return gathered(control_bytes_max, [this](std::string, Respond respond) {
    const auto view = std::make_shared<ClusterView>();
    const auto ask = [this, respond](HttpApiOptions::Question question, auto then) {
      options_.ask(std::move(question), [respond, then](wiring::Answer answer) {
        if (answer.error) return respond(error_response(*answer.error));
        then(std::move(answer));
      });
    };
    ask(wiring::ListJobs{}, [ask, respond, view](wiring::Answer jobs) {
      view->jobs = std::move(jobs.jobs);
      ask(wiring::ListWorkers{}, [ask, respond, view](wiring::Answer workers) {
        view->workers = std::move(workers.workers);
        ask(wiring::ListPools{true}, [respond, view](wiring::Answer pools) {
          view->pools = std::move(pools.pools);
          HttpResponse response;
          response.content_type = metrics_content_type;
          response.body = metrics_of(*view, wall_seconds());
          respond(std::move(response));
        });
      });
    });
  });
}

std::unique_ptr<JobEvents> HttpApi::open_job_events() {
  return std::make_unique<JobEvents>([this](std::function<void(wiring::Answer)> then) {
    options_.ask(wiring::ListJobs{}, [this, then = std::move(then)](wiring::Answer answer) {
      for (wiring::JobView& job : answer.jobs) job.output = options_.output_path(job);
      then(std::move(answer));
    });
  });
}

HttpResponse HttpApi::stream_events(JobId job) {
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.stream = job_events_->open(job);
  if (response.stream) return response;
  return http_error(503, "unavailable",
                    fmt::format("expected at most {} streams of events, got one more: close one",
                                JobEvents::streams_max));
}

HttpApi::Task HttpApi::events(const HttpRequest&, JobId) {
  return gathered(control_bytes_max, [this](const std::string&, const Respond& respond) {
    respond(stream_events({}));
  });
}

HttpApi::Task HttpApi::job_events(const HttpRequest&, JobId job) {
  return asking(wiring::ShowJob{job},
                [this, job](const wiring::Answer&) { return stream_events(job); });
}

} // namespace gristmill::coordinator
