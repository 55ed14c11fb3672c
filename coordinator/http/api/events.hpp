// EVENTS: streams of what changes about jobs; job_events.hpp says what they are.
#pragma once

#include "coordinator/http/api/asking.hpp"
#include "coordinator/http/api/job_events.hpp"

namespace gristmill::coordinator {

class EventsResource final : public Resource {
public:
  explicit EventsResource(AskNode ask) : ask_{std::move(ask)} {}
  std::vector<Route> routes() override;

private:
  std::unique_ptr<HttpTask> of_all(const HttpRequest& head);
  std::unique_ptr<HttpTask> of_one(JobId job);
  HttpResponse stream(JobId job, bool all);

  AskNode ask_;
  JobEvents events_{ask_};
};

} // namespace gristmill::coordinator
