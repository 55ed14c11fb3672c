#include "coordinator/http/api/workers.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/job_json.hpp"

namespace gristmill::coordinator {
namespace {

HttpResponse show_workers(const wiring::Answer& answer) {
  Json workers = Json::array();
  for (const WorkerView& worker : answer.workers) workers.push_back(json_of(worker));
  return json_response(200, {{"workers", std::move(workers)}});
}

} // namespace

std::vector<Route> WorkersResource::routes() {
  return {
      // -> {"workers": […]}
      {"GET", "/api/v1/workers",
       [this](const HttpRequest&, const Segments&) {
         return asking(ask_, wiring::ListWorkers{}, show_workers);
       }},
      // -> {"workers": […]}, those that were told
      {"POST", "/api/v1/workers/{worker}/drain",
       [this](const HttpRequest&, const Segments& segments) {
         return asking(ask_, wiring::DrainWorker{segments.at(0)}, show_workers);
       }},
  };
}

} // namespace gristmill::coordinator
