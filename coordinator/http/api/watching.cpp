// GET /metrics and the streams of events: what goes on, for whoever watches from outside.
#include "coordinator/http/api.hpp"

#include "actors/kit/clock.hpp"
#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/metrics.hpp"

#include <fmt/format.h>
#include <iterator>

namespace gristmill::coordinator {

namespace {

constexpr std::size_t jobs_page = 1'000;

// A scrape being put together: asked one after the other, because it need not be of one instant.
struct Scrape : std::enable_shared_from_this<Scrape> {
  decltype(HttpApiOptions::ask) ask_node;
  Respond respond;
  ClusterView view;

  template <class Then> void ask(HttpApiOptions::Question question, Then then) {
    ask_node(std::move(question), [self = shared_from_this(), then](wiring::Answer answer) {
      if (answer.error) return self->respond(error_response(*answer.error));
      then(*self, std::move(answer));
    });
  }

  void ask_for_jobs(JobId after) {
    wiring::ListJobs page;
    page.after = after;
    page.limit = jobs_page;
    ask(std::move(page), [](Scrape& self, wiring::Answer answer) {
      std::move(answer.jobs.begin(), answer.jobs.end(), std::back_inserter(self.view.jobs));
      answer.more.value != 0 ? self.ask_for_jobs(answer.more) : self.ask_for_workers();
    });
  }

  void ask_for_workers() {
    ask(wiring::ListWorkers{}, [](Scrape& self, wiring::Answer answer) {
      self.view.workers = std::move(answer.workers);
      self.ask_for_pools();
    });
  }

  void ask_for_pools() {
    ask(wiring::ListPools{true}, [](Scrape& self, wiring::Answer answer) {
      self.view.pools = std::move(answer.pools);
      HttpResponse response;
      response.content_type = metrics_content_type;
      response.body = metrics_of(self.view, wall_seconds());
      self.respond(std::move(response));
    });
  }
};

} // namespace

HttpApi::Task HttpApi::metrics(const HttpRequest&, JobId) {
  return gathered(control_bytes_max, [this](std::string, Respond respond) {
    const auto scrape = std::make_shared<Scrape>();
    scrape->ask_node = options_.ask;
    scrape->respond = std::move(respond);
    scrape->ask_for_jobs({});
  });
}

std::unique_ptr<JobEvents> HttpApi::open_job_events() {
  return std::make_unique<JobEvents>(
      [this](wiring::ListJobs page, std::function<void(wiring::Answer)> then) {
        options_.ask(std::move(page), [this, then = std::move(then)](wiring::Answer answer) {
          for (wiring::JobView& job : answer.jobs) job.output = options_.output_path(job);
          then(std::move(answer));
        });
      });
}

HttpResponse HttpApi::stream_events(JobId job, bool all) {
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.stream = job_events_->open(job, all ? 0 : wall_seconds());
  if (response.stream) return response;
  return http_error(503, "unavailable",
                    fmt::format("expected at most {} streams of events, got one more: close one",
                                JobEvents::streams_max));
}

HttpApi::Task HttpApi::events(const HttpRequest& head, JobId) {
  const auto all = head.query.find("all");
  if (all != head.query.end() && all->second != "true" && all->second != "false")
    return answered(http_error(400, "usage", "expected all=true or all=false in the query"));
  const bool wanted = all != head.query.end() && all->second == "true";
  return gathered(control_bytes_max, [this, wanted](const std::string&, const Respond& respond) {
    respond(stream_events({}, wanted));
  });
}

HttpApi::Task HttpApi::job_events(const HttpRequest&, JobId job) {
  return asking(wiring::ShowJob{job},
                [this, job](const wiring::Answer&) { return stream_events(job, true); });
}

} // namespace gristmill::coordinator
