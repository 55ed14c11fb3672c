#include "coordinator/http/api.hpp"

#include "coordinator/http/api/appends.hpp"
#include "coordinator/http/api/events.hpp"
#include "coordinator/http/api/explain.hpp"
#include "coordinator/http/api/health.hpp"
#include "coordinator/http/api/inputs.hpp"
#include "coordinator/http/api/jobs.hpp"
#include "coordinator/http/api/lines.hpp"
#include "coordinator/http/api/metrics.hpp"
#include "coordinator/http/api/pools.hpp"
#include "coordinator/http/api/results.hpp"
#include "coordinator/http/api/workers.hpp"

#include <iterator>
#include <sodium.h>

namespace gristmill::coordinator {
namespace {

std::vector<std::unique_ptr<Resource>> resources_of(const HttpApiOptions& options, Uploads& uploads,
                                                    JobInputs& job_inputs) {
  std::vector<std::unique_ptr<Resource>> all;
  all.push_back(std::make_unique<HealthResource>(options.ask));
  all.push_back(std::make_unique<MetricsResource>(options.ask));
  all.push_back(std::make_unique<EventsResource>(options.ask));
  all.push_back(std::make_unique<InputsResource>(uploads, job_inputs));
  all.push_back(std::make_unique<JobsResource>(options.ask, job_inputs));
  all.push_back(std::make_unique<AppendsResource>(options.ask, job_inputs));
  all.push_back(std::make_unique<ExplainResource>(options.ask, options.lines));
  all.push_back(std::make_unique<ResultsResource>(options.ask));
  all.push_back(std::make_unique<LinesResource>(options.lines));
  all.push_back(std::make_unique<WorkersResource>(options.ask));
  all.push_back(std::make_unique<PoolsResource>(options.ask));
  return all;
}

std::vector<Route> routes_of(const std::vector<std::unique_ptr<Resource>>& resources) {
  std::vector<Route> all;
  for (const auto& resource : resources) {
    auto routes = resource->routes();
    std::move(routes.begin(), routes.end(), std::back_inserter(all));
  }
  return all;
}

std::unique_ptr<HttpTask> turned_away(const HttpRefusal& refusal) {
  return answered(http_error(refusal.status, refusal.code, refusal.sentence));
}

} // namespace

HttpApi::HttpApi(const HttpApiOptions& options, std::unique_ptr<Uploads> uploads)
    : token_{options.token}, door_{{token_.is_needed(), options.listen, options.hosts}},
      uploads_{std::move(uploads)}, job_inputs_{*uploads_, options.inputs_in_use, options.inputs},
      resources_{resources_of(options, *uploads_, job_inputs_)}, router_{routes_of(resources_)} {}

Result<std::unique_ptr<HttpApi>> HttpApi::open(const HttpApiOptions& options) {
  if (sodium_init() < 0)
    return fail(ErrorCode::internal, "libsodium finds no source of randomness");
  auto uploads = Uploads::open(options.blobs, options.state_directory, options.data_root);
  GRISTMILL_TRY(uploads);
  return std::unique_ptr<HttpApi>{new HttpApi{options, std::move(*uploads)}};
}

bool HttpApi::is_always_answered(const HttpRequest& head) const {
  const Router::Found found = router_.find(head.method, head.path);
  return found.route != nullptr && found.route->is_for_all;
}

std::unique_ptr<HttpTask> HttpApi::open_task(const HttpRequest& head) const {
  if (const auto refusal = door_.why_refused(head.headers)) return turned_away(*refusal);
  const Router::Found found = router_.find(head.method, head.path);
  const bool is_for_all = found.route != nullptr && found.route->is_for_all;
  if (!is_for_all && !token_.is_shown_by(head.headers)) return answered(no_token());
  if (found.route == nullptr) return answered(no_route(head, found));
  const bool carries = head.method != "GET";
  if (const auto refusal = HttpDoor::why_no_body(head.headers, carries, found.route->content_type))
    return turned_away(*refusal);
  return found.route->open(head, found.segments);
}

} // namespace gristmill::coordinator
